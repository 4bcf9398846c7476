"""Two layers on the same test items: the difference of a metric, its interval, and a p-value.

Both the interval and the test treat a group (an image, or a pair of images) as one unit, because items that share an
image are not independent. The interval also resamples texts where many groups share few of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from layerwise.errors import InputError
from layerwise.probes.bootstrap import Units, difference_interval
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics import RANK_METRICS, metric_values, predicted

# Sums over items: what a group adds to them does not depend on the other groups.
SUM_METRICS = ("accuracy", "balanced_accuracy")
# Weights held at a time, for memory: 5 million are 40 MB, and a metric holds several copies.
_WEIGHTS_AT_ONCE = 5_000_000


@dataclass(frozen=True)
class PairedDifference:
    """The metric of two layers on the same items and what their difference is worth.

    ``first`` and ``second`` are the layers' values, ``difference`` is first - second, ``low`` and ``high`` bound its
    95 % interval, ``p_value`` is two-sided. All in the metric's own unit; NaN where the metric is not defined on the
    items, as is ROC AUC without one of the classes.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class _Label:
    """One label's n items: y (n,), margins of both layers (n, K), and the index of each item's group (n,)."""

    y: np.ndarray
    first: np.ndarray
    second: np.ndarray
    codes: np.ndarray


def paired_difference(
    first: pd.DataFrame,
    second: pd.DataFrame,
    metric: str,
    n_classes: int,
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> PairedDifference:
    """Compare two layers' predictions on the same items; with several labels, by the mean of the metric over labels.

    The interval is Student's with the standard error of a bootstrap over groups: each resample draws the groups once,
    over all labels, and takes both layers' metric on it; texts are drawn too, where many groups share few of them (see
    :mod:`layerwise.probes.clusters`). The p-value is a permutation test: if the layers were equally
    good, swapping their predictions within a group would change nothing, so each permutation swaps them in a random
    half of the groups. This holds for any metric, since nothing is assumed but that exchange. Metrics of ranking see
    each layer's margins as ranks (Bandos, Rockette and Gur 2005, doi:10.1002/sim.2149), as margins of two probes have
    no common scale.
    p = (1 + permutations at least as extreme) / (1 + permutations), after Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585; groups so few that all swaps can be tried give the exact share.

    Args:
        first: Columns label, item_id, group, y (class index), scores (margins of shape (K,)), and in newer files text
            (equal where items read the same); sorted by label and item.
        second: The same items of another layer.
        metric: A metric that :func:`layerwise.probes.metrics.metric_values` knows.
        n_classes: Number of classes of each label.
        n_resamples: Bootstrap resamples.
        n_permutations: Random swaps.
        rng: Source of both.

    Raises:
        InputError: The two layers were not predicted on the same items.
    """
    pair = _Pair.of(first, second, metric, n_classes)
    a, b = pair.values()
    low, high = difference_interval(a - b, *pair.resampled(n_resamples, rng))
    if not np.isfinite(a - b):
        return PairedDifference(a, b, np.nan, np.nan, np.nan, np.nan)
    p_value = pair.p_value(np.abs(pair.permuted(n_permutations, rng)), abs(a - b), n_permutations)
    return PairedDifference(a, b, a - b, low, high, p_value)


def worse_than(
    reference: pd.DataFrame,
    others: Iterable[pd.DataFrame],
    metric: str,
    n_classes: int,
    n_permutations: int,
    seed: int,
) -> list[float]:
    """For each of several layers the p-value of "it is as good as the reference", against "it is worse".

    Adjusted over the layers by the greatest of their statistics under the same swaps (Westfall and Young 1993's
    single-step maxT), which keeps the chance that any layer as good as the reference is called worse at the level, and
    sees that neighbouring layers are alike. A layer's statistic is its difference from the reference over the spread
    of that difference under swaps. The reference must not have been chosen on these items.

    Args:
        reference: The layer that the others are compared with; see :func:`paired_difference`.
        others: The other layers, read one at a time.
        metric: A metric that :func:`layerwise.probes.metrics.metric_values` knows.
        n_classes: Number of classes of each label.
        n_permutations: Random swaps.
        seed: Of the swaps, which are the same for all layers.

    Returns:
        NaN where a layer's metric is not defined.

    Raises:
        InputError: A layer was not predicted on the same items.
    """
    statistics, under_null, pair = [], [], None
    for other in others:
        pair = _Pair.of(reference, other, metric, n_classes)
        a, b = pair.values()
        permuted = pair.permuted(n_permutations, np.random.default_rng(seed))
        spread = np.sqrt(np.mean(permuted**2))
        # Layers that predict alike do not differ, nor under any swap.
        scale = spread if spread > 1e-9 else np.inf
        statistics.append((a - b) / scale)
        under_null.append(permuted / scale)
    if pair is None:
        return []
    greatest = np.nanmax(under_null, axis=0)
    return [
        pair.p_value(greatest, statistic, n_permutations) if np.isfinite(statistic) else np.nan
        for statistic in statistics
    ]


@dataclass(frozen=True)
class _Pair:
    """Two layers on the same items."""

    labels: list[_Label]
    clusters: Clusters
    n_groups: int
    metric: str
    n_classes: int

    @classmethod
    def of(cls, first: pd.DataFrame, second: pd.DataFrame, metric: str, n_classes: int) -> "_Pair":
        for column in ("label", "item_id", "group", "y"):
            if len(first) != len(second) or (first[column].to_numpy() != second[column].to_numpy()).any():
                raise InputError("the predictions compared are of different items; run the probes of this cell again")
        groups, codes = np.unique(first["group"].to_numpy().astype(str), return_inverse=True)
        labels = _labels(first, second, codes, metric in RANK_METRICS)
        texts = list(first.groupby("label", sort=False)["text"].agg(np.array)) if "text" in first else None
        clusters = Clusters([label.codes for label in labels], texts)
        return cls(labels, clusters, len(groups), metric, n_classes)

    def _metric(self, label: _Label, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return metric_values(self.metric, label.y, scores, weights, self.n_classes)

    def values(self) -> tuple[float, float]:
        """Both layers' metric, averaged over labels."""
        found = [
            [self._metric(label, scores, np.ones((1, len(label.y))))[0] for scores in (label.first, label.second)]
            for label in self.labels
        ]
        a, b = np.mean(found, axis=0)
        return float(a), float(b)

    def resampled(self, n_resamples: int, rng: np.random.Generator) -> tuple[np.ndarray, Units]:
        """First less second in resamples, and of what units these are; NaN where some label lacks a class."""
        draws, found = self.clusters.draw(n_resamples, rng), []
        for place, label in enumerate(self.labels):
            weights = self.clusters.weights(draws, place)
            found.append(self._metric(label, label.first, weights) - self._metric(label, label.second, weights))
        return self.clusters.evidence(np.mean(found, axis=0))

    def permuted(self, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
        """First less second when the layers are swapped in a random half of the groups, shape (permutations,)."""
        if self.metric in SUM_METRICS:
            gains, per_group = self._gains(), 1
            found = [(1.0 - 2.0 * swap) @ gains for swap in self._swaps(n_permutations, per_group, rng)]
        else:
            per_group = 2 * max(len(label.y) for label in self.labels) / self.n_groups
            found = [
                np.mean([self._swapped(label, swap) for label in self.labels], axis=0)
                for swap in self._swaps(n_permutations, per_group, rng)
            ]
        return np.concatenate(found)

    def p_value(self, permuted: np.ndarray, statistic: float, n_permutations: int) -> float:
        """Share of swaps with as great a statistic; of random ones the data's own is one more."""
        # Sums of float32 weights differ in their last digits; equal differences must count as equal.
        extreme = int((permuted >= statistic - 1e-6).sum())
        if self._all_swaps(n_permutations):
            return extreme / len(permuted)
        return (1 + extreme) / (1 + n_permutations)

    def _all_swaps(self, n_permutations: int) -> bool:
        return self.n_groups < n_permutations.bit_length()

    def _swaps(self, n: int, numbers_per_group: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """Random swaps, shape (some, groups), the same in whatever parts they come; or all, where those are fewer."""
        if self._all_swaps(n):
            yield (np.arange(2**self.n_groups)[:, None] >> np.arange(self.n_groups)) % 2 == 1
            return
        at_once = max(1, int(_WEIGHTS_AT_ONCE / (numbers_per_group * self.n_groups)))
        for start in range(0, n, at_once):
            yield rng.random((min(at_once, n - start), self.n_groups)) < 0.5

    def _gains(self) -> np.ndarray:
        """What each group adds to the difference, shape (groups,), for metrics that are sums over items."""
        gains = np.zeros(self.n_groups)
        for label in self.labels:
            gain = (predicted(label.first) == label.y).astype(float) - (predicted(label.second) == label.y)
            if self.metric == "balanced_accuracy":
                # Every class counts alike, so an item of a small one counts more.
                counts = np.bincount(label.y, minlength=self.n_classes)
                gain *= len(label.y) / (counts[label.y] * (counts > 0).sum())
            gains += np.bincount(label.codes, gain / len(label.y), self.n_groups)
        return gains / len(self.labels)

    def _swapped(self, label: _Label, swap: np.ndarray) -> np.ndarray:
        # Both layers' items one under the other; weight 1 picks, for each item, the layer whose turn it is.
        y, scores = np.concatenate([label.y, label.y]), np.concatenate([label.first, label.second])
        swapped = swap[:, label.codes]
        as_first = np.concatenate([~swapped, swapped], axis=1).astype(np.float32)
        return metric_values(self.metric, y, scores, as_first, self.n_classes) - metric_values(
            self.metric, y, scores, 1 - as_first, self.n_classes
        )


def _labels(first: pd.DataFrame, second: pd.DataFrame, codes: np.ndarray, rank: bool) -> list[_Label]:
    labels = []
    for rows in first.groupby("label", sort=False).indices.values():
        margins = [np.stack(frame["scores"].to_numpy()[rows]) for frame in (first, second)]
        if rank:
            margins = [rankdata(margin, axis=0) for margin in margins]
        labels.append(_Label(first["y"].to_numpy()[rows], margins[0], margins[1], codes[rows]))
    return labels
