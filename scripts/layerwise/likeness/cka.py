"""Debiased CKA: how alike the geometry of two layers is, over the same items.

Centred kernel alignment (Kornblith et al. 2019, arXiv 1905.00414) with linear kernels: 1 where the states of one layer
are those of the other, turned and scaled; 0 where they have nothing in common. The usual estimate grows with width and
falls with the number of items, so that two unrelated wide layers look alike. Here each HSIC is the unbiased estimate of
Song et al. (2012, JMLR 13, equation 5), as in Murphy et al. (2024, arXiv 2405.01012): unrelated layers have 0 on
average, and less than 0 by chance.
"""

from typing import NamedTuple

import numpy as np

from layerwise.likeness.jackknife import correlation_interval
from layerwise.likeness.measures import FEWEST_ITEMS


class Likeness(NamedTuple):
    """CKA of each layer of one cell with each of another, shape (layers, layers) each; NaN where it is not defined.

    Attributes:
        value: between -1 and 1.
        low, high: 95 % jackknife interval over items, on Fisher's scale.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


class _Hsic(NamedTuple):
    """Unbiased HSIC of all items, and without each of them, shape (n, ...)."""

    value: np.ndarray
    left_out: np.ndarray


def cka(left: np.ndarray, right: np.ndarray) -> Likeness:
    """Debiased CKA of every layer with every other.

    Args:
        left, right: products of the same n items in the layers of two cells, shapes (layers, n, n), with zeros on their
            diagonals. NaN in a layer that has no likeness.
    """
    shape, n = (len(left), len(right)), left.shape[1]
    if n < FEWEST_ITEMS:
        return Likeness(*np.full((3, *shape), np.nan))
    both = _hsic(left, right)
    own, others = _own_hsic(left), _own_hsic(right)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = both.value / np.sqrt(own.value[:, None] * others.value)
        left_out = both.left_out / np.sqrt(own.left_out[:, :, None] * others.left_out[:, None, :])
    # By Cauchy and Schwarz it is no more than 1; rounding may make it so.
    value, left_out = np.clip(value, -1, 1), np.clip(left_out, -1, 1)
    low, high = correlation_interval(value, left_out)
    # A layer and itself, or its turned copy: there is no doubt about it.
    same = value > 1 - 1e-6
    return Likeness(value, np.where(same, value, low), np.where(same, value, high))


def _own_hsic(products: np.ndarray) -> _Hsic:
    """Of each layer with itself: shapes (layers,) and (n, layers)."""
    each = [_hsic(layer[None], layer[None]) for layer in products]
    value = np.array([hsic.value[0, 0] for hsic in each])
    return _Hsic(value, np.stack([hsic.left_out[:, 0, 0] for hsic in each], axis=1))


def _hsic(left: np.ndarray, right: np.ndarray) -> _Hsic:
    """Of each layer with each: shapes (layers, layers) and (n, layers, layers).

    Without an item, its row and column are missing from every sum. So all sums without one follow from those with it.
    """
    n = left.shape[1]
    of_left, of_right = left.sum(axis=2), right.sum(axis=2)
    sums = of_left.sum(axis=1)[:, None] * of_right.sum(axis=1)
    # Of each item: its products in both, and its products in one with the sums of the other. Shape (n, layers, layers).
    both = np.matmul(left.transpose(1, 0, 2), right.transpose(1, 2, 0))
    crossed = np.stack([layer @ of_right.T for layer in left], axis=1)
    crossed += np.stack([layer @ of_left.T for layer in right], axis=2)
    at_item = of_left.T[:, :, None] * of_right.T[:, None, :]
    trace, dot = both.sum(axis=0), of_left @ of_right.T
    fewer = (of_left.sum(axis=1) - 2 * of_left.T)[:, :, None] * (of_right.sum(axis=1) - 2 * of_right.T)[:, None, :]
    return _Hsic(
        _estimate(n, trace, sums, dot),
        _estimate(n - 1, trace - 2 * both, fewer, dot - at_item - crossed + both),
    )


def _estimate(n: int, trace: np.ndarray, sums: np.ndarray, dot: np.ndarray) -> np.ndarray:
    """The estimate from the trace of both kernels' product, the product of their sums, and that of their rows' sums."""
    return (trace + sums / ((n - 1) * (n - 2)) - 2 * dot / (n - 2)) / (n * (n - 3))
