"""Area under the ROC curve; of more than two classes the mean of each against the rest."""

import numpy as np

from layerwise.probes.bootstrap import ranking_interval
from layerwise.probes.metrics.metric import Metric
from layerwise.probes.metrics.ranking import cumulated, one_against_rest, one_against_rest_gains


def _compute(y: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
    return one_against_rest(y, scores, weights, n_classes, _binary)


def _item_gains(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    return one_against_rest_gains(y, first, second, n_classes, _binary_gains)


def _binary(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    positives, above = cumulated(positive, score, weights)
    negatives = above - positives
    area = np.diff(negatives, axis=1, prepend=0) * (positives + np.pad(positives, ((0, 0), (1, 0)))[:, :-1]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return area.sum(axis=1) / (positives[:, -1] * negatives[:, -1])


def _binary_gains(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """By how much more of the other class, pooled over both layers, the first layer has an item on its right side."""
    gains = np.empty(len(positive))
    for of_class, sign in ((positive, 1), (~positive, -1)):
        others = np.sort(np.concatenate([first[~of_class], second[~of_class]]))
        below = [
            # Items that tie are half below.
            np.searchsorted(others, ranks[of_class], "left") + np.searchsorted(others, ranks[of_class], "right")
            for ranks in (first, second)
        ]
        gains[of_class] = sign * (below[0] - below[1]) / (2 * len(others) * of_class.sum())
    return gains


METRIC = Metric(
    name="roc_auc",
    label="ROC AUC",
    compute=_compute,
    item_gains=_item_gains,
    least_images=50,
    least_texts=100,
    interval=ranking_interval,
    ranks=True,
)
