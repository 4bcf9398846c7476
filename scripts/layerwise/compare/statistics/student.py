"""Tests of several differences at once by Student's t: against draws of an untrained twin, or against a margin.

Each difference has its own error and degrees of freedom. The draws of a twin are a second source of chance beside the
images, and cross them: every draw is shown every image. The variance of a difference from the mean of K draws is
therefore that by image (and by text, see :mod:`layerwise.probes.clusters`), plus s^2 / K, s^2 being the variance of
the draws' scores. The images' part of s^2 / K, which the first variance has too, counts once (Cameron, Gelbach and
Miller 2011, doi:10.1198/jbes.2010.07136; studies of several readers and cases have the same form: Obuchowski and
Rockette 1995, doi:10.1080/03610919508813243). Degrees of freedom are Satterthwaite's (1946, doi:10.2307/3002019): with
three draws as few as two, if draws differ much.

P-values are corrected over the differences by the smallest of them, as if they were jointly normal with the
differences' correlations (Conneely and Boehnke 2007, doi:10.1086/522036).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, stdtr

from layerwise.probes.bootstrap import ROUNDING, Crossed, Units, two_way_error

# Numbers in memory at a time.
_NUMBERS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Difference:
    """A difference of a metric, and what it varies with.

    Attributes:
        value: of the difference.
        sums: what groups add, shape (groups,), and where texts count as units what texts and pairs of both add; less
            the mean, and scaled so that each sum of squares is the variance by these units.
        units: how many there are.
        draws: of the twin that is compared with.
        spread: the variance of the mean of the draws, without that by image; 0 for a single draw.
    """

    value: float
    sums: tuple[np.ndarray, ...]
    units: Units
    draws: int = 1
    spread: float = 0.0

    @classmethod
    def from_draws(cls, each: Sequence["Difference"]) -> "Difference":
        """The difference from the mean of several draws, of the differences from each."""
        n, value = len(each), float(np.mean([one.value for one in each]))
        sums = tuple(np.mean(ways, axis=0) for ways in zip(*(one.sums for one in each), strict=True))
        if n == 1:
            return cls(value, sums, each[0].units)
        spread = np.square([one.value - value for one in each]).sum()
        # What images add to the spread of the draws is in the variance by image already.
        by_image = np.square([one.sums[0] - sums[0] for one in each]).sum()
        return cls(value, sums, each[0].units, n, max(0.0, float(spread - by_image)) / (n * (n - 1)))

    @property
    def least_units(self) -> int:
        """The number of groups, or of texts where they count and are fewer."""
        units = self.units
        return min(units.groups, units.distinct_texts) if isinstance(units, Crossed) else units

    def error_and_freedom(self) -> tuple[float, float]:
        """Standard error of the difference, and its degrees of freedom."""
        errors = [float(np.linalg.norm(of_unit)) for of_unit in self.sums]
        units = self.units
        error, freedom = two_way_error(errors, units) if isinstance(units, Crossed) else (errors[0], units - 1.0)
        if not self.spread:
            return error, freedom
        variance = error**2 + self.spread
        return float(np.sqrt(variance)), variance**2 / (error**4 / freedom + self.spread**2 / (self.draws - 1))


def greater_than(
    differences: Sequence[Difference], least: float, n_draws: int, seed: int, least_error: float = 0.0
) -> list[float]:
    """One-sided p-values of "the difference is at most ``least``", corrected over the differences.

    No p-value is less than that of a sign test in which all images (or all texts, if they are fewer) agree.

    Args:
        differences: on the same items.
        least: what they are compared with.
        n_draws: how many smallest p-values are drawn.
        seed: of the draws.
        least_error: a standard error below which no difference counts as known.
    """
    if not differences:
        return []
    differences = _with_shared_spread(differences)
    errors, freedoms = np.transpose([difference.error_and_freedom() for difference in differences])
    errors = np.maximum(errors, least_error)
    above = np.array([difference.value for difference in differences]) - least
    certain = errors < ROUNDING
    t = np.divide(above, errors, out=np.where(above > ROUNDING, np.inf, -np.inf), where=~certain)
    floor = 0.5 ** np.array([difference.least_units for difference in differences])
    p_values = np.maximum(stdtr(freedoms, -t), floor)
    root = _covariance_root(differences)
    lacking = np.sqrt((errors**2 - np.square(root).sum(axis=1)).clip(0))
    scale = np.hypot(np.linalg.norm(root, axis=1), lacking)
    scale[certain] = 1
    root, lacking = root / scale[:, None], lacking / scale
    # A normal number that is exceeded as often as the p-value says. One that is certain is not drawn.
    bound = -ndtri(np.clip(p_values, 0, 1))
    rng, as_small = np.random.default_rng(seed), np.zeros(len(differences))
    at_once = max(1, _NUMBERS_AT_ONCE // len(differences))
    for start in range(0, n_draws, at_once):
        size = min(at_once, n_draws - start)
        drawn = rng.standard_normal((size, root.shape[1])) @ root.T
        drawn += lacking * rng.standard_normal((size, len(differences)))
        drawn[:, certain] = -np.inf
        as_small += (drawn.max(axis=1)[:, None] >= bound).sum(axis=0)
    return list(np.maximum((1 + as_small) / (1 + n_draws), p_values))


def _with_shared_spread(differences: Sequence[Difference]) -> list[Difference]:
    """The differences with a spread of draws that is at least the mean of all that have several draws.

    Some layer's few draws lie close together by chance, and would make its error too small.
    """
    spreads = [difference.spread for difference in differences if difference.draws > 1]
    least = float(np.mean(spreads)) if spreads else 0.0
    return [
        replace(difference, spread=max(difference.spread, least)) if difference.draws > 1 else difference
        for difference in differences
    ]


def _covariance_root(differences: Sequence[Difference]) -> np.ndarray:
    """A matrix, a row per difference, whose product with its transpose is the differences' covariance by image.

    Where texts count, that by image plus that by text less that by both, with negative eigenvalues set to 0.
    """
    ways = [np.stack(way) for way in zip(*(difference.sums for difference in differences), strict=True)]
    covariance = sum(sign * way @ way.T for sign, way in zip((1, 1, -1), ways, strict=False))
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(values.clip(0))
