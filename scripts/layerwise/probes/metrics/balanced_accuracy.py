"""Balanced accuracy: the mean over classes of the share of their items that is right."""

import numpy as np

from layerwise.probes.metrics.item_gains import class_parts, hits, shares
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.metrics.metric import Metric


def _compute(y: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
    hit = predicted(scores) == y
    with np.errstate(invalid="ignore"):
        recalls = np.stack([weights @ (hit & (y == k)) / (weights @ (y == k)) for k in range(n_classes)])
    # Classes without an item do not count, as in scikit-learn.
    defined = np.isfinite(recalls)
    return np.where(defined, recalls, 0).sum(axis=0) / defined.sum(axis=0)


def _item_gains(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    of_classes = shares(class_parts(y, n_classes))
    return hits(y, first, second) * of_classes / len(of_classes), of_classes


METRIC = Metric(
    name="balanced_accuracy",
    label="balanced accuracy",
    compute=_compute,
    item_gains=_item_gains,
    least_images=30,
    least_texts=60,
)
