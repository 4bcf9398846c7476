"""Two layers on the same test items: the difference of a metric, its interval, and a p-value.

Both the interval and the test treat a group (an image, or a pair of images) as one unit, because items that share an
image are not independent. Where many groups share few texts, texts are units too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.special import ndtri

from layerwise.compare.statistics.gains import Gains, LabelItems, image_gains, item_residuals
from layerwise.compare.statistics.shared_texts import (
    CrossedDifference,
    difference_p_value,
    enough_texts,
    greatest_difference_test,
)
from layerwise.compare.statistics.student import Difference, greater_than
from layerwise.compare.statistics.swaps import PValue, enough_images, greatest_swap_test, swap_test
from layerwise.errors import InputError
from layerwise.probes.bootstrap import Crossed, Units, difference_interval, error_and_freedom
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics.catalogue import METRICS


@dataclass(frozen=True)
class PairedDifference:
    """The metric of two layers on the same items, and their difference with its interval and p-value.

    ``first`` and ``second`` are the layers' values, ``difference`` is first - second, and ``low`` and ``high`` bound
    its 95 % interval, all in the metric's own unit. ``p_value`` is two-sided; with ``p_is_bound``, p is at most that
    value. Numbers are NaN if the metric is not defined on the items, such as ROC AUC without one of the classes. The
    p-value is also NaN if there are too few images, or shared texts, for a test. ``low_90`` and ``high_90`` bound the
    90 % interval, for tests against a margin, and are NaN with the p-value: see :func:`least_error`.
    ``error`` is the standard error of the difference, and ``freedom`` its degrees of freedom.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float
    p_is_bound: bool = False
    low_90: float = np.nan
    high_90: float = np.nan
    error: float = float("nan")
    freedom: float = float("nan")


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    metric: str,
    n_classes: int,
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
    margin: float = 0.01,
) -> PairedDifference:
    """Compare two layers' predictions on the same items; with several labels, by the mean of the metric over labels.

    Labels for which the metric is not defined, such as ROC AUC without one of the classes, are left out, as in the
    scores.

    The interval is Student's, with the standard error of a bootstrap over groups. Each resample draws groups once for
    all labels, and both layers' metrics are computed on it. If many groups share few texts, texts are drawn too (see
    :mod:`layerwise.probes.clusters`). The p-value comes from :func:`layerwise.compare.statistics.swaps.swap_test`, or,
    if texts count as units, from :func:`layerwise.compare.statistics.shared_texts.difference_p_value`.

    Args:
        first: Columns label, item_id, group, y (class index), scores (margins of shape (K,)), and in newer files text
            (a number, the same for items with the same text); sorted by label and item.
        second: The same items in another layer.
        metric: One of :data:`layerwise.probes.metrics.catalogue.METRICS`.
        n_classes: Number of classes of each label.
        n_resamples: Bootstrap resamples.
        n_permutations: Random swaps.
        rng: Source of the resamples and the swaps.
        margin: A difference that does not matter, which the 90 % interval is to be compared with.

    Raises:
        InputError: The two layers' predictions are of different items.
    """
    pair = _Pair.of(first, second, metric, n_classes)
    a, b = pair.values()
    if not pair.labels:
        return PairedDifference(a, b, np.nan, np.nan, np.nan, np.nan)
    resampled = pair.resampled(n_resamples, rng)
    low, high = difference_interval(a - b, *resampled)
    error, freedom = error_and_freedom(*resampled)
    if not pair.can_be_tested:
        return PairedDifference(a, b, a - b, low, high, np.nan, error=error, freedom=freedom)
    p = PValue(difference_p_value(pair.crossed)) if pair.is_crossed else swap_test(pair.gains, n_permutations, rng)
    least = least_error(pair.gains, margin) * -ndtri(0.05)
    low_90, high_90 = difference_interval(a - b, *resampled, level=0.9)
    low_90, high_90 = min(low_90, a - b - least), max(high_90, a - b + least)
    return PairedDifference(a, b, a - b, low, high, p.value, p.is_bound, low_90, high_90, error, freedom)


def worse_than(
    reference: pd.DataFrame,
    others: Iterable[pd.DataFrame],
    metric: str,
    n_classes: int,
    n_permutations: int,
    seed: int,
) -> list[float]:
    """Test for each of several layers whether it is worse than the reference: one-sided p-values.

    They are adjusted over the layers: see :func:`layerwise.compare.statistics.swaps.greatest_swap_test`, or, if texts
    count as units, :func:`layerwise.compare.statistics.shared_texts.greatest_difference_test`. The reference must not
    have been chosen on these items.

    Args:
        reference: The layer that the others are compared with; see :func:`paired_difference`.
        others: The other layers, read one at a time.
        metric: One of :data:`layerwise.probes.metrics.catalogue.METRICS`.
        n_classes: Number of classes of each label.
        n_permutations: Random swaps or, if texts count as units, draws of the largest statistic.
        seed: For the swaps (the same for all layers) or the draws.

    Returns:
        One p-value per layer; NaN if the metric is not defined, or there are too few images, or shared texts, for a
        test.

    Raises:
        InputError: A layer's predictions are of other items.
    """
    gains: list[Gains] = []
    crossed: list[CrossedDifference] = []
    untested = 0
    for other in others:
        pair = _Pair.of(reference, other, metric, n_classes)
        # All layers have the same items, so either all can be tested or none, and either all are crossed or none.
        if not pair.can_be_tested:
            untested += 1
        elif pair.is_crossed:
            crossed.append(pair.crossed)
        else:
            gains.append(pair.gains)
    if untested:
        return [np.nan] * (len(gains) + len(crossed) + untested)
    if crossed:
        return greatest_difference_test(crossed, n_permutations, seed)
    return greatest_swap_test(gains, n_permutations, seed)


def better_than(
    pairs: Iterable[tuple[pd.DataFrame, Sequence[pd.DataFrame]]],
    metric: str,
    n_classes: int,
    n_permutations: int,
    seed: int,
) -> list[float]:
    """Test for each of several layers whether it is better than its own reference: one-sided p-values.

    The counterpart of :func:`worse_than`, with a reference for each layer: the same layer of an untrained twin, of
    another prompt, or a constant answer. P-values are adjusted over all pairs, by
    :func:`layerwise.compare.statistics.swaps.greatest_swap_test`. If texts count as units, or a reference has several
    draws, it is :func:`layerwise.compare.statistics.student.greater_than`, which gives each pair its own degrees of
    freedom: pairs differ in them more than layers against one reference do. With several draws, a layer is compared
    with their mean.

    Args:
        pairs: A layer's predictions, and its reference's: one table, or one per draw. Read one at a time.
        metric, n_classes, n_permutations, seed: See :func:`worse_than`.

    Returns:
        One p-value per pair; NaN if the metric is not defined, or there are too few images, or shared texts, for a
        test.

    Raises:
        InputError: Predictions are of other items.
    """
    gains: list[Gains] = []
    differences: list[Difference] = []
    by_student, untested = False, 0
    for layer, draws in pairs:
        each = [_Pair.of(layer, draw, metric, n_classes) for draw in draws]
        # All pairs have the same items, so either all can be tested or none.
        if not each[0].can_be_tested:
            untested += 1
            continue
        gains.append(each[0].gains)
        differences.append(Difference.from_draws([pair.difference for pair in each]))
        by_student |= len(each) > 1 or each[0].is_crossed
    if untested:
        return [np.nan] * (len(differences) + untested)
    if by_student:
        return greater_than(differences, 0.0, n_permutations, seed)
    return greatest_swap_test(gains, n_permutations, seed)


def less_worse_than(
    reference: pd.DataFrame,
    others: Iterable[pd.DataFrame],
    metric: str,
    n_classes: int,
    margin: float,
    n_permutations: int,
    seed: int,
) -> list[float]:
    """Test for each of several layers whether it is worse than the reference by less than a margin: one-sided p-values.

    They are small where a layer is shown to be nearly as good, as in a test of non-inferiority. Corrected over the
    layers by :func:`layerwise.compare.statistics.student.greater_than`.

    Args:
        margin: In the metric's unit.
        reference, others, metric, n_classes, n_permutations, seed: See :func:`worse_than`.

    Returns:
        One p-value per layer; NaN as in :func:`worse_than`.

    Raises:
        InputError: A layer's predictions are of other items.
    """
    differences, least = [], 0.0
    for other in others:
        pair = _Pair.of(other, reference, metric, n_classes)
        differences.append(pair.difference if pair.can_be_tested else None)
        least = least_error(pair.gains, margin) if pair.labels else np.nan
    tested = [difference for difference in differences if difference is not None]
    if len(tested) < len(differences):
        return [np.nan] * len(differences)
    return greater_than(tested, -margin, n_permutations, seed, least_error=least)


def least_error(gains: Gains, margin: float) -> float:
    """The standard error below which no difference counts as known, in tests against a margin.

    Where few images differ in a sample, the estimated error is too small, and 0 where none does. If the true
    difference is the margin, though, at least that share of images differs, and the error is at least
    sqrt(margin (1 - margin) / n), n being the effective number of images. Score tests of paired shares take the error
    under this hypothesis too (Tango 1998, doi:10.1002/(SICI)1097-0258(19980430)17:8<891::AID-SIM780>3.0.CO;2-B). And
    where no image differs, up to 3 / n of all images may do so: the upper bound of the one-sided 95 % interval is at
    least 1 - 0.05^(1 / n) (the rule of three: Hanley and Lippman-Hand 1983, doi:10.1001/jama.1983.03330370053031).
    """
    n = gains.effective_images
    return float(max(np.sqrt(margin * (1 - margin) / n), (1 - 0.05 ** (1 / n)) / -ndtri(0.05)))


@dataclass(frozen=True)
class _Pair:
    """Two layers' predictions on the same items, for the labels on which the metric is defined."""

    labels: list[LabelItems]
    texts: list[np.ndarray] | None
    n_groups: int
    metric: str
    n_classes: int

    @classmethod
    def of(cls, first: pd.DataFrame, second: pd.DataFrame, metric: str, n_classes: int) -> "_Pair":
        for column in ("label", "item_id", "group", "y"):
            if len(first) != len(second) or (first[column].to_numpy() != second[column].to_numpy()).any():
                raise InputError("the predictions compared are of different items; run the probes of this cell again")
        groups, codes = np.unique(first["group"].to_numpy().astype(str), return_inverse=True)
        texted = "text" in first
        labels, texts = [], []
        for rows in first.groupby("label", sort=False).indices.values():
            margins = [np.stack(frame["scores"].to_numpy()[rows]) for frame in (first, second)]
            label = LabelItems(first["y"].to_numpy()[rows], margins[0], margins[1], codes[rows])
            if METRICS[metric].is_defined(label.y, n_classes):
                labels.append(label)
                texts += [first["text"].to_numpy()[rows]] if texted else []
        return cls(labels, texts if texted else None, len(groups), metric, n_classes)

    def _metric(self, label: LabelItems, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return METRICS[self.metric].values(label.y, scores, weights, self.n_classes)

    def values(self) -> tuple[float, float]:
        """Both layers' metric, averaged over labels; NaN without any label."""
        if not self.labels:
            return np.nan, np.nan
        found = [
            [self._metric(label, scores, np.ones((1, len(label.y))))[0] for scores in (label.first, label.second)]
            for label in self.labels
        ]
        a, b = np.mean(found, axis=0)
        return float(a), float(b)

    def resampled(self, n_resamples: int, rng: np.random.Generator) -> tuple[np.ndarray, Units]:
        """First minus second in each resample, NaN if some label lacks a class there; and the units drawn."""
        draws, found = self._clusters.draw(n_resamples, rng), []
        for place, label in enumerate(self.labels):
            weights = self._clusters.weights(draws, place)
            found.append(self._metric(label, label.first, weights) - self._metric(label, label.second, weights))
        return self._clusters.evidence(np.mean(found, axis=0))

    @cached_property
    def _clusters(self) -> Clusters:
        return Clusters([label.images for label in self.labels], self.texts)

    @property
    def is_crossed(self) -> bool:
        """Whether groups share texts so much that texts count as units too."""
        return isinstance(self._clusters.units(), Crossed)

    @property
    def crossed(self) -> CrossedDifference:
        """What groups, texts and pairs of both contribute to the difference, if texts count as units."""
        a, b = self.values()
        return CrossedDifference.of(a - b, self.metric, self.labels, self.n_classes, self._clusters)

    @property
    def difference(self) -> Difference:
        """What units contribute to the difference, whether texts count or not."""
        a, b = self.values()
        parts = [item_residuals(self.metric, label, self.n_classes) / len(self.labels) for label in self.labels]
        return Difference(a - b, tuple(self._clusters.sums(parts)), self._clusters.units())

    @cached_property
    def gains(self) -> Gains:
        """What each group contributes to the difference."""
        return image_gains(self.metric, self.labels, self.n_groups, self.n_classes)

    @property
    def can_be_tested(self) -> bool:
        """Whether the metric is defined and there are enough groups (and texts, where they count) for a p-value."""
        if not self.labels or not enough_images(self.gains, self.metric):
            return False
        if self.texts is None or not self.is_crossed:
            return True
        return enough_texts(self.metric, self.labels, self.texts, self.n_classes)


@dataclass(frozen=True)
class PairedEffect:
    """A difference without a p-value of its own, for tests of many differences together.

    Attributes:
        first, second, low, high, error, freedom: see :class:`PairedDifference`; the difference is first - second.
        testable: whether the metric is defined and there are enough groups (and texts, where they count) for a test.
        gains: what each group adds to the difference; None where texts count as units, or the metric is not defined.
        crossed: what groups, texts, and pairs of both add, if texts count as units.
        units: names of the groups, and for ``crossed`` of the texts and the pairs, in the order of what they add.
    """

    first: float
    second: float
    low: float
    high: float
    error: float
    freedom: float
    testable: bool
    gains: Gains | None
    crossed: CrossedDifference | None
    units: tuple[np.ndarray, ...]


def paired_effect(
    first: pd.DataFrame, second: pd.DataFrame, metric: str, n_classes: int, n_resamples: int, rng: np.random.Generator
) -> PairedEffect:
    """Two layers on the same items, with what each unit adds to their difference; see :func:`paired_difference`."""
    pair = _Pair.of(first, second, metric, n_classes)
    a, b = pair.values()
    groups = np.unique(first["group"].to_numpy().astype(str))
    if not pair.labels:
        return PairedEffect(a, b, np.nan, np.nan, np.nan, np.nan, False, None, None, (groups,))
    resampled = pair.resampled(n_resamples, rng)
    numbers = a, b, *difference_interval(a - b, *resampled), *error_and_freedom(*resampled), pair.can_be_tested
    if not pair.is_crossed or pair.texts is None:
        return PairedEffect(*numbers, pair.gains, None, (groups,))
    images, texts = (np.concatenate(parts) for parts in ([label.images for label in pair.labels], pair.texts))
    pairs = np.unique(np.stack([texts, images]), axis=1)
    names = [f"{text} {groups[image]}" for text, image in pairs.T]
    units = groups[np.unique(images)], np.unique(texts).astype(str), np.array(names)
    return PairedEffect(*numbers, None, pair.crossed, units)
