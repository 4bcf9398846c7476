"""Least-squares concept erasure (LEACE) in closed form, and erasers of random concepts as its controls.

LEACE (Belrose et al. 2023, arXiv 2306.03819) is the affine map that changes the states least, in mean square, among
those after which no linear probe does better than a constant: the states' covariance with the classes becomes zero.
With the covariance S of the states and an orthonormal basis u of the column space of S^(-1/2) times that
cross-covariance, it takes x to ``x - sum_k (from_k . (x - mean)) to_k``, where ``from_k = S^(-1/2) u_k`` and
``to_k = S^(1/2) u_k``.

All is computed in float64.

**Shrinkage.** With fewer rows than some ten per dimension, the inverse covariance is mostly noise. The eraser then
reads the training rows by their noise: other rows are changed more than they need, and keep more of the concept. So the
covariance is shrunk, by the amount that Bodnar, Gupta and Parolya (2014, arXiv 1308.2608) give. The covariance of the
training rows with the classes becomes zero all the same; only the change is no longer the least. By default the
covariance is shrunk toward its diagonal, so that the units of dimensions do not matter. Shrinking toward equal
variances, as is common, would drown most dimensions of a real decoder, where a few have a thousand times the deviation
of others.

**Directions without variance.** Without shrinkage and with fewer rows than dimensions, S has no inverse, and the
pseudo-inverse takes its place. An eigenvalue counts as zero up to d * 2.2e-16 times the largest one, the accuracy to
which eigenvalues are known. In deviations, at width 4096, that is a millionth of the largest one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from layerwise.used.concepts.moments import Moments

# A direction whose correlation with every class is this small is rounding.
UNCORRELATED = 1e-9
# What the covariance may be shrunk toward: its diagonal, or equal variances without covariances.
Toward = Literal["diagonal", "equal"]


@dataclass(frozen=True)
class Eraser:
    """``x - sum_k (from_k . (x - mean)) to_k``; see this module.

    Attributes:
        from_, to: shape (r, d), float64; r is K - 1 for K classes. Zeros where the concept has fewer dimensions.
        mean: of the training rows, shape (d,).
    """

    from_: np.ndarray
    to: np.ndarray
    mean: np.ndarray


class Covariance:
    """The covariance of training rows, decomposed once for the eraser, its controls and random directions.

    Attributes:
        shrinkage: how far it is shrunk, from 0 to 1.
    """

    def __init__(self, moments: Moments, toward: Toward | None = "diagonal"):
        """
        Args:
            moments: of the training rows and their classes.
            toward: what the covariance is shrunk toward. None does not shrink it.
        """
        self._moments, self._found = moments, moments.covariance
        deviation = np.sqrt(np.diagonal(self._found))
        self._scale = np.where(deviation > 0, deviation, 1) if toward == "diagonal" else np.ones_like(deviation)
        values, self._vectors = np.linalg.eigh(self._found / np.outer(self._scale, self._scale))
        # Rounding makes some less than zero.
        self._values = np.maximum(values, 0)
        self.shrinkage = 0.0 if toward is None else _shrinkage(self._values, moments.count)
        # Eigenvectors stay what they are.
        shrunk = (1 - self.shrinkage) * self._values + self.shrinkage * self._values.mean()
        kept = shrunk > shrunk.max() * len(shrunk) * np.finfo(np.float64).eps
        self._root = np.where(kept, np.sqrt(shrunk), 0)
        self._inverse_root = np.divide(1, self._root, out=np.zeros_like(self._root), where=kept)

    def eraser(self) -> Eraser:
        """LEACE of the rows' classes."""
        cross = self._moments.cross
        return self._erasing(cross, cross.shape[1] - 1)

    def control(self, rng: np.random.Generator, like: Eraser) -> Eraser:
        """The eraser of a random concept, drawn from the rows' covariance.

        Its ``to`` is scaled so that the mean squared change of the training rows is that of another eraser.

        Args:
            rng: draws the concept.
            like: the eraser that it is compared with.
        """
        rank = len(like.to)
        drawn = self._erasing(self.draw(rng, rank).T, rank)
        change = self.mean_squared_change(drawn)
        return Eraser(drawn.from_, drawn.to * np.sqrt(self.mean_squared_change(like) / (change or 1)), drawn.mean)

    def draw(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """Directions drawn from a normal distribution with the covariance of the rows, shape (n, d)."""
        # The root is symmetric, so that the signs which a decomposition gives to eigenvectors do not matter.
        drawn = rng.standard_normal((n, len(self._values))) @ self._vectors
        return (drawn * np.sqrt(self._values)) @ self._vectors.T * self._scale

    def mean_squared_change(self, eraser: Eraser) -> float:
        """The squared norm of what an eraser changes, as a mean over the training rows."""
        return float(np.sum((eraser.from_ @ self._found @ eraser.from_.T) * (eraser.to @ eraser.to.T)))

    def deviation(self, directions: np.ndarray) -> np.ndarray:
        """The standard deviation of the training rows along directions of shape (n, d), shape (n,)."""
        return np.sqrt(np.maximum(np.einsum("nd,nd->n", directions @ self._found, directions), 0))

    def _erasing(self, cross: np.ndarray, rank: int) -> Eraser:
        """The eraser of what has the covariance ``cross``, shape (d, k), with the states."""
        whitened = self._inverse_root[:, None] * (self._vectors.T @ (cross / self._scale[:, None]))
        basis, correlations, _ = np.linalg.svd(whitened, full_matrices=False)
        found = np.where(correlations > UNCORRELATED, basis, 0)[:, :rank].T
        # There are fewer dimensions than classes in the smallest of models.
        found = np.vstack([found, np.zeros((rank - len(found), len(self._scale)))])
        from_ = (found * self._inverse_root) @ self._vectors.T / self._scale
        to = (found * self._root) @ self._vectors.T * self._scale
        return Eraser(from_, to, self._moments.mean)


def _shrinkage(values: np.ndarray, count: int) -> float:
    """How far to shrink a covariance with these eigenvalues toward a multiple of the identity, from 0 to 1."""
    unlike = np.sum(values**2) - values.sum() ** 2 / len(values)
    # Where all are equal, shrinking changes nothing.
    return float(min(values.sum() ** 2 / count / unlike, 1)) if unlike > 0 else 1.0
