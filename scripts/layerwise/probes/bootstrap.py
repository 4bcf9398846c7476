"""Bootstrap of images, not items, because items of one image are not independent; and the intervals that it gives.

Where a score's items share texts as well, it has resamples by image, by text and by both;
:mod:`layerwise.probes.clusters` decides which.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

RESAMPLES_AT_ONCE = 50
# Sums of weights differ in their last digits: a smaller difference counts as 0.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Crossed:
    """Units of a score whose items share images and, across these, texts.

    Attributes:
        groups: number of groups (images).
        texts: number of equally frequent texts that would be as even a sample as the texts are.
        pairs: number of pairs of a group and a text.
        distinct_texts: number of texts.
    """

    groups: int
    texts: float
    pairs: int
    distinct_texts: int


# Units that a score's items fall into: a number of groups, or groups and texts that cross.
Units = int | Crossed


@dataclass(frozen=True)
class Redrawn:
    """What a score varies with whose probe could have been fitted to other training groups, too.

    Attributes:
        test: units of the score's own items.
        over_draws: variance of the score over probes that were fitted to draws of the training groups.
        by_items: the part of this variance that comes from the test items being few. It is in the variance over test
            groups already.
        draws: number of draws.
    """

    test: Units
    over_draws: float
    by_items: float
    draws: int

    def added_to(self, error: float, freedom: float) -> tuple[float, float]:
        """Standard error and degrees of freedom with both sources, from those of the test items alone.

        By the law of total variance, a score varies by the variance over test items for a given probe, plus that of the
        probe's true score over training sets::

            error^2 + of_training, with of_training = max(0, over_draws - by_items)

        The latter is a component of variance (Searle, Casella and McCulloch 1992, Variance Components).
        Scores of draws also differ because each probe errs on other test items, of which there are few; error^2 has
        this already, and intervals that count it twice cover 97 to 99 %. Degrees of freedom are Satterthwaite's (1946,
        doi:10.2307/3002019)::

            variance^2 / (error^4 / freedom + of_training^2 / (draws - 1))
        """
        if not np.isfinite([error, self.over_draws]).all():
            return float("nan"), float("nan")
        of_training = max(0.0, self.over_draws - self.by_items)
        variance = error**2 + of_training
        noise = error**4 / freedom + of_training**2 / (self.draws - 1)
        return float(np.sqrt(variance)), variance**2 / noise if noise > 0 else freedom


# What a score varies with: its items' units, and perhaps the training groups.
Sources = Units | Redrawn
# From a value, its resamples and their units to the interval's ends.
Interval = Callable[[float, np.ndarray, Sources], tuple[float, float]]


def distinct_texts(units: Units) -> int:
    """The number of texts where these are resampled too, else 0."""
    return units.distinct_texts if isinstance(units, Crossed) else 0


def resample_weights(groups: np.ndarray, n_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each item counts in each bootstrap resample of groups.

    Args:
        groups: shape (n,), the group (image) of each item.
        n_resamples: R.
        rng: the source of randomness.

    Returns:
        Shape (R, n), uint16: multinomial counts over groups, the same for all items of a group. Metrics take them as
        weights; no resample is ever copied.
    """
    _, index = np.unique(groups, return_inverse=True)
    n_groups = int(index.max()) + 1
    weights = np.empty((n_resamples, len(groups)), np.uint16)
    # In parts, because the generator makes counts of 64 bits.
    for part in np.array_split(weights, -(-n_resamples // RESAMPLES_AT_ONCE)):
        part[:] = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=len(part))[:, index]
    return weights


def standard_error(resampled: np.ndarray, n_groups: float) -> float:
    """Standard error of a value from its resamples, shape (R,), without those where it is not defined (NaN).

    The variance of a bootstrap is too small by the factor (groups - 1) / groups; this is corrected.
    """
    defined = resampled[~np.isnan(resampled)]
    if len(defined) < 2 or n_groups < 2:
        return float("nan")
    return float(defined.std(ddof=1) * np.sqrt(n_groups / (n_groups - 1)))


def two_way_error(errors: Sequence[float], units: Crossed) -> tuple[float, float]:
    """Standard error of a value whose items share images and texts, and its degrees of freedom.

    The variance by group plus that by text less that by both (Cameron, Gelbach and Miller 2011,
    doi:10.1198/jbes.2010.07136), and never less than that by group. A bootstrap that draws groups and texts at once
    (Owen 2007, doi:10.1214/07-AOAS122) counts an item's own variance up to three times: its intervals cover 97 to 99 %.
    Degrees of freedom are Satterthwaite's (1946, doi:10.2307/3002019).

    Args:
        errors: standard errors by group, by text and by both.
        units: how many there are of each.
    """
    group, text, both = np.square(errors)
    variance = max(group, group + text - both)
    noise = group**2 / (units.groups - 1) + text**2 / (units.texts - 1)
    freedom = variance**2 / noise if noise > 0 else min(units.groups, units.texts) - 1
    return float(np.sqrt(variance)), max(1.0, float(freedom))


def error_and_freedom(resampled: np.ndarray, units: Sources) -> tuple[float, float]:
    """Standard error of a value from its resamples, and the error's degrees of freedom.

    Args:
        resampled: shape (R,); of crossed units (3 R,): resamples of groups, of texts, of pairs of both.
        units: what was resampled.
    """
    if isinstance(units, Redrawn):
        return units.added_to(*error_and_freedom(resampled, units.test))
    if not isinstance(units, Crossed):
        return standard_error(resampled, units), units - 1
    counts = units.groups, units.texts, units.pairs
    errors = [standard_error(part, n) for part, n in zip(np.split(resampled, 3), counts, strict=True)]
    return two_way_error(errors, units) if np.isfinite(errors).all() else (float("nan"), float("nan"))


def score_interval(value: float, resampled: np.ndarray, units: Sources, level: float = 0.95) -> tuple[float, float]:
    """Interval of a share of items. It also holds near 0 and 1, where a percentile interval is too short.

    Wilson's interval (1927, doi:10.1080/01621459.1927.10502953) of a share of as many independent items as would give
    the bootstrap's standard error, value (1 - value) / error^2; Dean and Pagano (2015, J. Surv. Stat. Methodol. 3:484)
    compare such intervals for shares in clusters. At 0 and 1, where no resample differs, a group counts as one
    item (or a text, if texts cross groups and are fewer). Student's quantile allows for the error being estimated.

    Args:
        value: of the items as they are.
        resampled, units: see :func:`error_and_freedom`.
        level: of confidence.

    Returns:
        NaN where the value is not defined, or with fewer than two groups.
    """
    return share_interval(value, *error_and_freedom(resampled, units), units, level)


def share_interval(
    value: float, error: float, freedom: float, units: Sources, level: float = 0.95
) -> tuple[float, float]:
    """The same as :func:`score_interval`, of a known standard error with its degrees of freedom."""
    if not np.isfinite(value) or not np.isfinite(error):
        return float("nan"), float("nan")
    spread = value * (1 - value)
    # First a value of 0 or 1 but for rounding, then one that no resample changes.
    items = units.test if isinstance(units, Redrawn) else units
    if spread < ROUNDING:
        n = float(min(items.groups, items.texts) if isinstance(items, Crossed) else items)
    elif error < ROUNDING:
        return value, value
    else:
        n = spread / error**2
    t = float(stdtrit(freedom, (1 + level) / 2))
    centre, half = value + t**2 / (2 * n), t * np.sqrt(spread / n + t**2 / (4 * n**2))
    low, high = (centre - half) / (1 + t**2 / n), (centre + half) / (1 + t**2 / n)
    if spread < ROUNDING and isinstance(units, Redrawn):
        # Wilson's interval knows nothing of the training groups here.
        low, high = min(low, value - t * error), max(high, value + t * error)
    return float(np.clip(low, 0, value)), float(np.clip(high, value, 1))


def ranking_interval(value: float, resampled: np.ndarray, units: Sources, level: float = 0.95) -> tuple[float, float]:
    """Interval of ROC AUC or average precision: Student's, of the logit, with the bootstrap's standard error.

    Near 1 a pair of items in the wrong order weighs much less than a wrong item, and Wilson's interval is too short;
    Boyd, Eng and Page (2013, doi:10.1007/978-3-642-40994-3_29) compare intervals of average precision. Arguments and
    result are those of :func:`score_interval`, which takes over where the logit has no error.
    """
    return area_interval(value, *error_and_freedom(resampled, units), units, level)


def area_interval(
    value: float, error: float, freedom: float, units: Sources, level: float = 0.95
) -> tuple[float, float]:
    """The same as :func:`ranking_interval`, of a known standard error with its degrees of freedom."""
    spread = value * (1 - value)
    if not (error >= ROUNDING and spread >= ROUNDING):
        return share_interval(value, error, freedom, units, level)
    half = float(stdtrit(freedom, (1 + level) / 2)) * error / spread
    return float(expit(logit(value) - half)), float(expit(logit(value) + half))


def difference_interval(
    difference: float, resampled: np.ndarray, units: Sources, bound: float = 1.0, level: float = 0.95
) -> tuple[float, float]:
    """Interval of a difference of two scores on the same items: Student's, with the bootstrap's standard error.

    Differences of paired scores are close to symmetric even where the scores are not. There, intervals built from those
    of both scores (Newcombe 1998, Statist. Med. 17:2635) are up to twice as long, and cover more than they claim.

    Args:
        difference: of the items as they are.
        resampled, units: see :func:`error_and_freedom`.
        bound: the greatest possible difference.
        level: of confidence.
    """
    error, freedom = error_and_freedom(resampled, units)
    if not np.isfinite(difference) or not np.isfinite(error):
        return float("nan"), float("nan")
    half = float(stdtrit(freedom, (1 + level) / 2)) * error
    return max(-bound, difference - half), min(bound, difference + half)
