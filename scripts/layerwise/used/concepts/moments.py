"""Means and covariances of hidden states and their classes, from rows that are seen once, a batch at a time."""

import numpy as np


class Moments:
    """Statistics of rows and their classes, in float64.

    Each batch is centred on its own mean, and its moments are merged with those so far (Chan, Golub and LeVeque 1983).
    So a dimension of mean 400 and spread 0.1, as real decoders have, keeps its digits, and batches of any size give the
    same.

    Attributes:
        count: rows so far.
        mean: of the rows, shape (d,).
        share: of each class among the rows, shape (k,).
    """

    def __init__(self, width: int, n_classes: int):
        self.count = 0
        self.mean, self.share = np.zeros(width), np.zeros(n_classes)
        self._squares, self._products = np.zeros((width, width)), np.zeros((width, n_classes))

    def update(self, states: np.ndarray, classes: np.ndarray, weight: int = 1) -> None:
        """Add rows.

        Args:
            states: shape (n, d).
            classes: their classes as ones among zeros (one-hot), shape (n, k); or shares of classes, for rows that
                stand for several.
            weight: how often each row counts.
        """
        if not len(states):
            return
        states, classes = states.astype(np.float64), classes.astype(np.float64)
        count = weight * len(states)
        mean, share, total = states.mean(axis=0), classes.mean(axis=0), self.count + count
        states -= mean
        apart, shares_apart = mean - self.mean, share - self.share
        between = self.count * count / total
        self._squares += weight * (states.T @ states)
        self._products += weight * (states.T @ (classes - share))
        if self.count:
            self._squares += between * np.outer(apart, apart)
            self._products += between * np.outer(apart, shares_apart)
        self.mean = self.mean + apart * (count / total)
        self.share = self.share + shares_apart * (count / total)
        self.count = total

    @property
    def covariance(self) -> np.ndarray:
        """Of the rows, shape (d, d); divided by their number. Dimensions that are constant have none.

        A dimension counts as constant where its deviation is no greater than float32's rounding of its mean, as for
        probes (:class:`layerwise.probes.problems.Standardisation`).
        """
        found, constant = self._squares / self.count, self.constant
        found[constant] = 0
        found[:, constant] = 0
        return found

    @property
    def cross(self) -> np.ndarray:
        """The covariance of the rows with their classes, shape (d, k); divided by their number."""
        return np.where(self.constant[:, None], 0, self._products / self.count)

    @property
    def class_means(self) -> np.ndarray:
        """Of the rows of each class, shape (k, d); the mean of all rows for a class without any."""
        # A row's class is 0 or 1, so that the covariance with it is its share times the distance of its mean.
        shares = np.where(self.share > 0, self.share, 1)[:, None]
        return self.mean + self._products.T / self.count / shares

    @property
    def constant(self) -> np.ndarray:
        """Which dimensions are, shape (d,)."""
        return np.sqrt(np.diagonal(self._squares) / self.count) <= 1e-6 * np.abs(self.mean)


def one_hot(classes: np.ndarray, n_classes: int) -> np.ndarray:
    """Class indices, shape (n,), as ones among zeros, shape (n, K), float64."""
    return np.eye(n_classes)[classes]
