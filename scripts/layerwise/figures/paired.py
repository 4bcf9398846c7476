"""Two layers on the same test items: the difference of a metric, its interval, and a p-value.

Both the interval and the test treat a group (an image, or a pair of images) as one unit, because items that share an
image are not independent.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from layerwise.errors import InputError
from layerwise.probes.bootstrap import percentile_interval, resample_weights
from layerwise.probes.metrics import metric_values

RANK_METRICS = ("roc_auc", "average_precision")
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

    The interval is the percentile bootstrap over groups: each resample draws the groups once, over all labels, and
    takes both layers' metric on it. The p-value is a permutation test: if the layers were equally good, swapping their
    predictions within a group would change nothing, so each permutation swaps them in a random half of the groups. This
    holds for any metric, since nothing is assumed but that exchange. Metrics of ranking see each layer's margins as
    ranks (Bandos, Rockette and Gur 2005, doi:10.1002/sim.2149), as margins of two probes have no common scale.
    p = (1 + permutations at least as extreme) / (1 + permutations), after Phipson and Smyth 2010,
    doi:10.2202/1544-6115.1585.

    Args:
        first: Columns label, item_id, group, y (class index), scores (margins of shape (K,)); sorted by label and item.
        second: The same items of another layer.
        metric: A metric that :func:`layerwise.probes.metrics.metric_values` knows.
        n_classes: Number of classes of each label.
        n_resamples: Bootstrap resamples.
        n_permutations: Random swaps.
        rng: Source of both.

    Raises:
        InputError: The two layers were not predicted on the same items.
    """
    for column in ("label", "item_id", "group", "y"):
        if len(first) != len(second) or (first[column].to_numpy() != second[column].to_numpy()).any():
            raise InputError("the two layers have predictions of different items; run the probes of this cell again")
    groups, codes = np.unique(first["group"].to_numpy().astype(str), return_inverse=True)
    labels = _labels(first, second, codes, rank=metric in RANK_METRICS)

    def mean_of_labels(of_label: Callable[[_Label], np.ndarray]) -> np.ndarray:
        # A resample without a class of some label has no value, as in the scores; the interval leaves it out.
        values = np.stack([np.asarray(of_label(label), dtype=np.float64) for label in labels])
        return values.mean(axis=0)

    def metric_of(label: _Label, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return metric_values(metric, label.y, scores, weights, n_classes)

    a = mean_of_labels(lambda label: metric_of(label, label.first, np.ones((1, len(label.y)))))[0]
    b = mean_of_labels(lambda label: metric_of(label, label.second, np.ones((1, len(label.y)))))[0]

    draws = resample_weights(groups, n_resamples, rng)
    resampled = mean_of_labels(
        lambda label: (
            metric_of(label, label.first, draws[:, label.codes]) - metric_of(label, label.second, draws[:, label.codes])
        )
    )
    low, high = percentile_interval(resampled)
    if not np.isfinite(a - b):
        return PairedDifference(float(a), float(b), np.nan, np.nan, np.nan, np.nan)

    def swapped_difference(label: _Label, swap: np.ndarray) -> np.ndarray:
        # Both layers' items one under the other; weight 1 picks, for each item, the layer whose turn it is.
        y, scores = np.concatenate([label.y, label.y]), np.concatenate([label.first, label.second])
        swapped = swap[:, label.codes]
        as_first = np.concatenate([~swapped, swapped], axis=1).astype(np.float32)
        return metric_values(metric, y, scores, as_first, n_classes) - metric_values(
            metric, y, scores, 1 - as_first, n_classes
        )

    at_once = max(1, _WEIGHTS_AT_ONCE // (2 * max(len(label.y) for label in labels)))
    extreme = 0
    for start in range(0, n_permutations, at_once):
        swap = rng.integers(0, 2, size=(min(at_once, n_permutations - start), len(groups))).astype(bool)
        permuted = mean_of_labels(lambda label, swap=swap: swapped_difference(label, swap))
        # Sums of float32 weights differ in their last digits; equal differences must count as equal.
        extreme += int((np.abs(permuted) >= abs(a - b) - 1e-6).sum())
    return PairedDifference(float(a), float(b), float(a - b), low, high, (1 + extreme) / (1 + n_permutations))


def _labels(first: pd.DataFrame, second: pd.DataFrame, codes: np.ndarray, rank: bool) -> list[_Label]:
    labels = []
    for rows in first.groupby("label", sort=False).indices.values():
        margins = [np.stack(frame["scores"].to_numpy()[rows]) for frame in (first, second)]
        if rank:
            margins = [rankdata(margin, axis=0) for margin in margins]
        labels.append(_Label(first["y"].to_numpy()[rows], margins[0], margins[1], codes[rows]))
    return labels
