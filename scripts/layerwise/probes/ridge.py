"""Ridge regression (Hoerl and Kennard 1970, doi:10.1080/00401706.1970.10488634): all penalties and targets at once.

One eigendecomposition gives the minimum for every penalty and every target over the same rows. The penalty is per item:
scikit-learn's ``alpha`` is the number of training items times ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from layerwise.probes.problems import in_blocks


@dataclass(frozen=True)
class RidgePath:
    """Affine maps from states to numbers, for P penalties and T targets.

    Attributes:
        coefficients: shape (P, T, width).
        intercepts: shape (P, T).
    """

    coefficients: np.ndarray
    intercepts: np.ndarray

    def part(self, penalties: slice, target: int) -> "RidgePath":
        """Some penalties of one target."""
        one = slice(target, target + 1)
        return RidgePath(self.coefficients[penalties, one], self.intercepts[penalties, one])

    def estimates(self, states: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Shape (P, T, n), of some rows (n,) of states (all rows, width); rows are copied a block at a time."""
        P, T, width = self.coefficients.shape
        weights = self.coefficients.reshape(P * T, width)
        parts = [weights @ states[block].T.astype(np.float64) for block in in_blocks(rows, width)]
        found = np.concatenate(parts, axis=1) if parts else np.empty((P * T, 0))
        return found.reshape(P, T, len(rows)) + self.intercepts[:, :, None]


def ridge_path(states: np.ndarray, rows: np.ndarray, y: np.ndarray, penalties: Sequence[float]) -> RidgePath:
    """Minimise the mean squared error plus the penalty times the squared norm of the coefficients.

    The intercept is free. The scale of a target decides nothing but its unit.

    Args:
        states: shape (all rows, width), standardised.
        rows: shape (n,), the row of each training item; items may share rows.
        y: shape (T, n), targets.
        penalties: above 0.
    """
    distinct, index, counts = np.unique(rows, return_inverse=True, return_counts=True)
    n, width = len(rows), states.shape[1]
    means = y.mean(axis=1)
    # By distinct row, the sum of its items' targets less their mean.
    sums = np.stack([np.bincount(index, of_target) for of_target in y - means[:, None]])
    places = list(in_blocks(np.arange(len(distinct)), width))
    centre = sum((counts[place] @ states[distinct[place]].astype(np.float64) for place in places), np.zeros(width)) / n

    if len(distinct) >= width:
        gram, moments = np.zeros((width, width)), np.zeros((len(y), width))
        for place in places:
            block = states[distinct[place]] - centre
            gram += (counts[place, None] * block).T @ block
            moments += sums[:, place] @ block
        values, vectors = np.linalg.eigh(gram / n)
        projected, back = moments / n @ vectors, vectors.T
    else:
        # Fewer rows than dimensions: the rows' kernel is smaller, and has the same eigenvalues but for zeros.
        root = np.sqrt(counts)
        block = root[:, None] * (states[distinct] - centre)
        values, vectors = np.linalg.eigh(block @ block.T / n)
        projected, back = sums / root / n @ vectors, vectors.T @ block
    # Rounding makes eigenvalues that are 0 a little negative.
    values = values.clip(0)
    coefficients = np.stack([projected / (values + penalty) @ back for penalty in penalties])
    return RidgePath(coefficients, means - coefficients @ centre)
