"""Average precision; of more than two classes the mean of each against the rest."""

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
    precision = np.divide(positives, above, out=np.zeros_like(positives), where=above > 0)
    with np.errstate(invalid="ignore"):
        return (np.diff(positives, axis=1, prepend=0) * precision).sum(axis=1) / positives[:, -1]


def _binary_gains(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Derivative of the pool's average precision by the weight of an item, at the first layer's rank less the second's.

    Average precision is the sum over thresholds t of ΔP(t) P(t) / N(t) over all positives, P(t) and N(t) the positives
    and all items at or above t.
    """
    ranks, of_class = np.concatenate([first, second]), np.concatenate([positive, positive])
    thresholds, place = np.unique(-ranks, return_inverse=True)
    step = np.bincount(place, of_class, len(thresholds))
    true, above = np.cumsum(step), np.cumsum(np.bincount(place, minlength=len(thresholds)))
    # One more item adds 1 to N from its threshold downwards, and a positive one adds 1 to P there too.
    per_item = np.cumsum((step * -true / above**2)[::-1])[::-1]
    per_positive = np.cumsum((step / above)[::-1])[::-1]
    derivative = per_item[place] + of_class * (true[place] / above[place] + per_positive[place])
    # The pool weighs every item by one half, so its derivative is twice that at weights of one.
    of_first, of_second = np.split(2 * derivative / of_class.sum(), 2)
    return of_first - of_second


METRIC = Metric(
    name="average_precision",
    label="average precision",
    compute=_compute,
    item_gains=_item_gains,
    least_images=100,
    least_texts=200,
    interval=ranking_interval,
    ranks=True,
)
