"""Intervals from leaving out one item at a time (Efron and Stein 1981, doi:10.1214/aos/1176345462)."""

import numpy as np
from scipy.special import stdtrit

CONFIDENCE = 0.95


def interval(value: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % intervals by Student's t with the jackknife's standard error.

    Args:
        value: of all n items, any shape.
        left_out: shape (n, ...), the same without each item. For the mean of the items, the error is the usual one.

    Returns:
        Lower and upper ends, of the shape of ``value``; NaN where a value without an item is not defined.
    """
    n = len(left_out)
    error = np.sqrt((n - 1) / n * np.square(left_out - left_out.mean(0)).sum(0))
    reach = stdtrit(n - 1, (1 + CONFIDENCE) / 2) * error
    return value - reach, value + reach


def correlation_interval(value: np.ndarray, left_out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same for what lies between -1 and 1, on Fisher's scale, so that no end lies outside."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = interval(np.arctanh(value), np.arctanh(left_out))
    return np.tanh(low), np.tanh(high)
