"""Classification metrics for many weightings of the same items at once.

Every function takes ``weights`` of shape (R, n) - all ones for the plain value, those of
:mod:`layerwise.probes.bootstrap` for its resamples - and gives shape (R,). They agree with scikit-learn's functions
under ``sample_weight``; a value that is not defined (a weighting without one of the classes) is NaN.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import logsumexp

NUMBERS_AT_ONCE = 2**19
# Metrics of the order of items, not of the classes that their margins give.
RANK_METRICS = ("roc_auc", "average_precision")


def predicted(scores: np.ndarray) -> np.ndarray:
    """Classes from margins of shape (n, 1) (two classes, positive for the second) or (n, K)."""
    return (scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)


def class_margins(scores: np.ndarray, k: int) -> np.ndarray:
    """What ranks items by class k against the rest: the log odds of its probability, shape (n,), float64.

    A margin z_k of several classes tells nothing alone: softmax leaves each row free to shift all of its margins. The
    log odds z_k - log(sum of exp(z_j) over the other classes) have no such freedom. They order items as the probability
    does, without the ties of probabilities that round to 0 or 1.

    Args:
        scores: margins, shape (n, 1) for two classes, else (n, K).
        k: class index.
    """
    scores = scores.astype(np.float64)
    if scores.shape[1] == 1:
        return scores[:, 0] if k == 1 else -scores[:, 0]
    return scores[:, k] - logsumexp(np.delete(scores, k, axis=1), axis=1)


def metric_values(metric: str, y: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
    """A metric under each weighting.

    Args:
        metric: one of :data:`METRICS`.
        y: shape (n,), class indices.
        scores: shape (n, 1) for two classes, else (n, K): margins.
        weights: shape (R, n).
        n_classes: K.

    Returns:
        Shape (R,). F1 is that of the second of two classes, and the mean over classes otherwise. ROC AUC and average
        precision of more than two classes are means over one-against-rest, ranked by each class's probability.
    """
    # Metrics hold a few numbers per weighting and item at a time; some weightings at once keep that bounded.
    at_once = max(1, NUMBERS_AT_ONCE // max(len(y), 1))
    parts = (weights[start : start + at_once] for start in range(0, len(weights), at_once))
    compute = METRICS[metric]
    return np.concatenate([compute(y, scores, np.asarray(part, dtype=np.float64), n_classes) for part in parts])


def _accuracy(y, scores, weights, n_classes):
    return weights @ (predicted(scores) == y) / weights.sum(axis=1)


def _balanced_accuracy(y, scores, weights, n_classes):
    hit = predicted(scores) == y
    with np.errstate(invalid="ignore"):
        recalls = [weights @ (hit & (y == k)) / (weights @ (y == k)) for k in range(n_classes)]
    # As scikit-learn does: classes without an item do not count.
    return _mean_of_defined(recalls)


def _f1(y, scores, weights, n_classes):
    guess = predicted(scores)
    values = []
    for k in [1] if n_classes == 2 else range(n_classes):
        total = weights @ ((guess == k).astype(float) + (y == k))
        true = weights @ ((guess == k) & (y == k))
        values.append(np.divide(2 * true, total, out=np.zeros_like(total), where=total > 0))
    return np.mean(values, axis=0)


def _roc_auc(y, scores, weights, n_classes):
    return _one_against_rest(y, scores, weights, n_classes, _binary_roc_auc)


def _average_precision(y, scores, weights, n_classes):
    return _one_against_rest(y, scores, weights, n_classes, _binary_average_precision)


METRICS: dict[str, Callable[..., np.ndarray]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
}


def _one_against_rest(y, scores, weights, n_classes, binary):
    # A class missing from a weighting leaves the mean undefined, as scikit-learn refuses it.
    ranked = [1] if n_classes == 2 else range(n_classes)
    return np.mean([binary(y == k, class_margins(scores, k), weights) for k in ranked], axis=0)


def _cumulated(positive, score, weights):
    """Weight of positives and of all items at or above each distinct score, from the highest down: shapes (R, t)."""
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    ordered = weights[:, order]
    above = np.cumsum(ordered, axis=1)[:, last_of_tie]
    positives = np.cumsum(ordered * positive[order], axis=1)[:, last_of_tie]
    return positives, above


def _binary_roc_auc(positive, score, weights):
    positives, above = _cumulated(positive, score, weights)
    negatives = above - positives
    area = np.diff(negatives, axis=1, prepend=0) * (positives + np.pad(positives, ((0, 0), (1, 0)))[:, :-1]) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        return area.sum(axis=1) / (positives[:, -1] * negatives[:, -1])


def _binary_average_precision(positive, score, weights):
    positives, above = _cumulated(positive, score, weights)
    precision = np.divide(positives, above, out=np.zeros_like(positives), where=above > 0)
    with np.errstate(invalid="ignore"):
        return (np.diff(positives, axis=1, prepend=0) * precision).sum(axis=1) / positives[:, -1]


def _mean_of_defined(values):
    stacked = np.stack(values)
    defined = np.isfinite(stacked)
    return np.where(defined, stacked, 0).sum(axis=0) / defined.sum(axis=0)
