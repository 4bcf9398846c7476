"""How large the states of a layer are, and in which directions: norms, outlier dimensions, anisotropy.

Measures of the states X of n items, shape (n, width):

- ``norm``: mean length of a state
- ``largest``: the largest absolute entry
- ``outliers``: mean number of entries of a state that lie beyond 6 standard deviations of its own entries
- ``variance-share``: share of the variance between items in the 1 % of dimensions that vary most
- ``cosine``: mean cosine of two items (anisotropy, Ethayarajh 2019, doi:10.18653/v1/D19-1006)
- ``cosine-rest``: the same without the 1 % of dimensions with the largest mean squares, which may decide it alone
  (Timkey and van Schijndel 2021, doi:10.18653/v1/2021.emnlp-main.372)
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import numpy as np

from layerwise.likeness.jackknife import interval

# Beyond so many standard deviations of its own entries, an entry of a state is an outlier. A normal distribution has
# one in 500 million.
DEVIATIONS = 6
# The share of the dimensions that are counted as the largest.
LARGEST_SHARE = 0.01
# A share or a cosine of fewer items says nothing, and an interval less.
FEWEST_ITEMS = 8


class Measured(NamedTuple):
    """One measure of one layer.

    Attributes:
        measure: its name.
        value: NaN where it is not defined.
        low, high: 95 % interval over items; NaN where there is none.
        dimensions: the dimensions that it is about, counted from 0 and separated by spaces, the largest first.
    """

    measure: str
    value: float
    low: float = np.nan
    high: float = np.nan
    dimensions: str = ""


def measure_layer(states: np.ndarray) -> Iterator[Measured]:
    """All measures of a layer.

    Args:
        states: shape (n, width).
    """
    states = states.astype(np.float64)
    yield _mean("norm", np.linalg.norm(states, axis=1))
    largest = np.abs(states).max(axis=0)
    yield Measured("largest", float(largest.max()), dimensions=str(int(largest.argmax())))
    yield _outliers(states)
    yield _variance_share(states)
    yield _cosine("cosine", states)
    squares = np.square(states).mean(axis=0)
    rest = np.argsort(-squares, kind="stable")[_n_largest(states) :]
    yield _cosine("cosine-rest", states[:, rest])


def _n_largest(states: np.ndarray) -> int:
    return ceil(LARGEST_SHARE * states.shape[1])


def _mean(measure: str, values: np.ndarray, dimensions: str = "") -> Measured:
    n, mean = len(values), values.mean()
    low, high = interval(mean, (values.sum() - values) / (n - 1)) if n >= FEWEST_ITEMS else (np.nan, np.nan)
    return Measured(measure, float(mean), float(low), float(high), dimensions)


def _outliers(states: np.ndarray) -> Measured:
    own = states - states.mean(axis=1, keepdims=True)
    spread = own.std(axis=1, keepdims=True)
    beyond = np.abs(own) > DEVIATIONS * spread
    share = beyond.mean(axis=0)
    # Those of most items.
    common = [int(dimension) for dimension in np.argsort(-share, kind="stable") if share[dimension] >= 0.5]
    return _mean("outliers", beyond.sum(axis=1), " ".join(map(str, common)))


def _variance_share(states: np.ndarray) -> Measured:
    """The interval takes the same dimensions whichever item is left out."""
    n = len(states)
    squares = np.square(states - states.mean(axis=0))
    total = squares.sum(axis=0)
    # Rounding alone makes equal states differ by this much.
    if n < FEWEST_ITEMS or total.sum() <= len(states) * np.finfo(np.float32).eps ** 2 * np.square(states).sum():
        return Measured("variance-share", np.nan)
    most = np.argsort(-total, kind="stable")[: _n_largest(states)]
    # Without an item, the sum of squares about the new mean.
    fewer = total - squares * (n / (n - 1))
    value = total[most].sum() / total.sum()
    low, high = interval(value, fewer[:, most].sum(axis=1) / fewer.sum(axis=1))
    return Measured("variance-share", float(value), float(low), float(high), " ".join(map(str, most)))


def _cosine(measure: str, states: np.ndarray) -> Measured:
    n, norms = len(states), np.linalg.norm(states, axis=1, keepdims=True)
    if n < FEWEST_ITEMS or not norms.all():
        return Measured(measure, np.nan)
    directions = states / norms
    together = directions.sum(axis=0)
    # The sum of all cosines of two different items, and of those with each item.
    cosines = together @ together - n
    with_item = directions @ together - 1
    left_out = (cosines - 2 * with_item) / ((n - 1) * (n - 2))
    value = cosines / (n * (n - 1))
    low, high = interval(value, left_out)
    return Measured(measure, float(value), float(low), float(high))
