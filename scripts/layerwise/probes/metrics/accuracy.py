"""Accuracy: the share of items whose class is right."""

import numpy as np

from layerwise.probes.metrics.item_gains import hits, shares
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.metrics.metric import Metric


def _compute(y: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
    return weights @ (predicted(scores) == y) / weights.sum(axis=1)


def _item_gains(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    of_all = shares(np.ones((1, len(y))))
    return hits(y, first, second) * of_all, of_all


METRIC = Metric(
    name="accuracy",
    label="accuracy",
    compute=_compute,
    item_gains=_item_gains,
    least_images=30,
    least_texts=60,
    by_class=False,
)
