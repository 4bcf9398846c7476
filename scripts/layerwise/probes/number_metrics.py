"""How near a probe's numbers are to the true ones: R², mean absolute error, Spearman's rank correlation.

Each metric takes numbers y (n,), estimates (n,) and weights (R, n), and gives values (R,), NaN where it is not defined.
A row of ones gives the plain value; a row of counts the value of the sample in which items occur that often.
"""

from collections.abc import Callable

import numpy as np

# Weightings are taken a few at a time, so that memory is bounded.
NUMBERS_AT_ONCE = 2**19
NumberMetric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def r2(y: np.ndarray, estimates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """1 less the squared error over that of the mean of these very items, as scikit-learn's ``r2_score``.

    So always giving the mean of the training items scores a little below 0 on others. There is no lower limit.
    """
    total, spread = weights.sum(axis=1), _spread(y, weights)
    # What remains of equal numbers is rounding.
    varies = spread > 1e-12 * total * np.square(y).max(initial=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(varies, 1 - weights @ np.square(y - estimates) / spread, np.nan)


def mae(y: np.ndarray, estimates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error, in the unit of y."""
    with np.errstate(invalid="ignore"):
        return weights @ np.abs(y - estimates) / weights.sum(axis=1)


def spearman(y: np.ndarray, estimates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation; equal numbers share their mean rank."""
    ranks, others = _ranks(y, weights), _ranks(estimates, weights)
    total = weights.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (of - (weights * of).sum(axis=1, keepdims=True) / total for of in (ranks, others))
        squares = (weights * a * a).sum(axis=1) * (weights * b * b).sum(axis=1)
        return np.where(squares > 0, (weights * a * b).sum(axis=1) / np.sqrt(squares), np.nan)


METRICS: dict[str, NumberMetric] = {"r2": r2, "mae": mae, "spearman": spearman}
# Metrics whose mean over labels means something: labels may have different units.
AVERAGED = ("r2", "spearman")


def number_values(metric: str, y: np.ndarray, estimates: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A metric under each of many weightings, shape (R,)."""
    at_once = max(1, NUMBERS_AT_ONCE // max(len(y), 1))
    parts = (weights[start : start + at_once] for start in range(0, len(weights), at_once))
    return np.concatenate([METRICS[metric](y, estimates, np.asarray(part, np.float64)) for part in parts])


def _spread(y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted sum of squares about the weighted mean. Numbers are centred first, against rounding."""
    y = y - y.mean()
    total = weights.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return weights @ np.square(y) - np.square(weights @ y) / total


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean ranks, shape (R, n), of samples in which items occur as often as their weights say."""
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    of_group = np.add.reduceat(weights[:, order], starts, axis=1)
    upto = np.cumsum(of_group, axis=1)
    return (upto - (of_group - 1) / 2)[:, group]
