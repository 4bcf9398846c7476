"""What each image adds to the difference of a metric between two layers that were measured on the same items.

Swapping the two layers' predictions of an image turns the sign of what it adds. The differences of accuracy, balanced
accuracy and ROC AUC are exactly sums over images. For ROC AUC both layers' items are pooled, so that what a pair of two
swapped images adds cancels (Bandos, Rockette and Gur 2005, doi:10.1002/sim.2149). The differences of F1 and average
precision are such sums to first order, around the pool of both layers, which no swap changes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from layerwise.probes.metrics import RANK_METRICS, class_margins, predicted

# What items add to each part of a difference, and their shares of the parts; both of shape (parts, n).
ItemGains = tuple[np.ndarray, np.ndarray]
RankGains = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Gains:
    """What each of n images adds to a difference.

    Attributes:
        by_part: shape (S, n), what an image adds in each of S parts: labels, or classes of labels for metrics that give
            classes equal weight. The difference is the sum of all.
        weights: shape (S, n), an image's share of each part; the shares of a part sum to 1.
        shares: shape (C, n), an image's share of the items, with labels of equal weight: of all items (C = 1), or of
            each class for metrics that give classes equal weight. They depend on counts alone, not on the predictions.
    """

    by_part: np.ndarray
    weights: np.ndarray
    shares: np.ndarray

    @property
    def effective_images(self) -> float:
        """The effective number of images of the scarcest class (Kish 1965): images of unequal size count less."""
        return float(1 / np.square(self.shares).sum(axis=1).max())


@dataclass(frozen=True)
class LabelItems:
    """One label's n items: y (n,), margins of both layers (n, K), and the index of each item's image (n,)."""

    y: np.ndarray
    first: np.ndarray
    second: np.ndarray
    images: np.ndarray


def image_gains(metric: str, labels: list[LabelItems], n_images: int, n_classes: int) -> Gains:
    """Gains of the first layer over the second in the mean of a metric over labels.

    Args:
        metric: one of :data:`layerwise.probes.metrics.METRICS`.
        labels: those that the metric is defined for.
        n_images: n.
        n_classes: K.
    """
    by_part, weights = [], []
    # By class for metrics that give classes equal weight, else all together.
    shares: dict[int | None, list[np.ndarray]] = {}
    for label in labels:
        gains, parts = _ITEM_GAINS[metric](label.y, label.first, label.second, n_classes)
        by_part.append(_by_image(gains / len(labels), label.images, n_images))
        weights.append(_by_image(parts, label.images, n_images))
        for k in [None] if metric == "accuracy" else np.unique(label.y):
            counted = np.bincount(label.images[slice(None) if k is None else label.y == k], minlength=n_images)
            shares.setdefault(k, []).append(counted / counted.sum())
    of_class = [np.mean(of_labels, axis=0) for of_labels in shares.values()]
    return Gains(np.concatenate(by_part), np.concatenate(weights), np.stack(of_class))


def item_residuals(metric: str, label: LabelItems, n_classes: int) -> np.ndarray:
    """What each item adds to the difference of one label, less the average of its part; shape (n,), with sum 0.

    Parts are those of :class:`Gains`.
    """
    gains, parts = _ITEM_GAINS[metric](label.y, label.first, label.second, n_classes)
    return (gains - gains.sum(axis=1, keepdims=True) * parts).sum(axis=0)


def _by_image(values: np.ndarray, images: np.ndarray, n_images: int) -> np.ndarray:
    return np.stack([np.bincount(images, part, n_images) for part in values])


def _classes(y: np.ndarray, n_classes: int) -> np.ndarray:
    """For each class that occurs, whether an item is of it; shape (classes, n)."""
    of_class = y == np.arange(n_classes)[:, None]
    return of_class[of_class.any(axis=1)].astype(float)


def _shared(parts: np.ndarray) -> np.ndarray:
    return parts / parts.sum(axis=1, keepdims=True)


def _hits(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (predicted(first) == y).astype(float) - (predicted(second) == y)


def _accuracy(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> ItemGains:
    shares = _shared(np.ones((1, len(y))))
    return _hits(y, first, second) * shares, shares


def _balanced_accuracy(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> ItemGains:
    shares = _shared(_classes(y, n_classes))
    return _hits(y, first, second) * shares / len(shares), shares


def _f1(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> ItemGains:
    ranked = [1] if n_classes == 2 else range(n_classes)
    gains, shares = [], []
    for k in ranked:
        positive = y == k
        guesses = [(predicted(scores) == k).astype(float) for scores in (first, second)]
        # F1 is twice the true positives over the guessed and the real ones; of the pool each layer is one half.
        true, guessed = (guess * positive for guess in guesses), sum(guesses)
        of_first, of_second = true
        share = guessed / 2 + positive
        total = share.sum()
        if not total:
            gains.append(np.zeros(len(y)))
            shares.append(np.full(len(y), 1 / len(y)))
            continue
        pooled = (of_first + of_second).sum() / total
        gains.append((2 * (of_first - of_second) - pooled * (guesses[0] - guesses[1])) / total / len(ranked))
        shares.append(share / total)
    return np.stack(gains), np.stack(shares)


def _roc_auc(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> ItemGains:
    return _ranking(y, first, second, n_classes, _area_gains)


def _average_precision(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> ItemGains:
    return _ranking(y, first, second, n_classes, _precision_gains)


def _ranking(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int, item_gains: RankGains) -> ItemGains:
    ranked = [1] if n_classes == 2 else range(n_classes)
    gains, shares = [], []
    for k in ranked:
        positive = y == k
        # Margins of two probes have no common scale; their ranks have.
        ranks = [pd.Series(class_margins(scores, k)).rank().to_numpy() for scores in (first, second)]
        of_items = item_gains(positive, *ranks) / len(ranked)
        parts = _classes(positive, 2)
        gains.append(of_items * parts)
        shares.append(_shared(parts))
    return np.concatenate(gains), np.concatenate(shares)


def _area_gains(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The share of the other class, of both layers, that an item is ranked rightly against: first less second layer."""
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


def _precision_gains(positive: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The derivative of the pool's average precision by the weight of an item, at its rank in the first layer less that
    in the second.

    Average precision is the sum over thresholds t of ΔP(t) P(t) / N(t) over all positives, P(t) and N(t) the positives
    and all items at or above t.
    """
    ranks, of_class = np.concatenate([first, second]), np.concatenate([positive, positive])
    thresholds, place = np.unique(-ranks, return_inverse=True)
    step = np.bincount(place, of_class, len(thresholds))
    true, above = np.cumsum(step), np.cumsum(np.bincount(place, minlength=len(thresholds)))
    # One more item adds 1 to N at its threshold and below it; one more positive also adds 1 to P.
    per_item = np.cumsum((step * -true / above**2)[::-1])[::-1]
    per_positive = np.cumsum((step / above)[::-1])[::-1]
    derivative = per_item[place] + of_class * (true[place] / above[place] + per_positive[place])
    # In the pool every item has the weight one half, so the derivative is twice that at weights of one.
    of_first, of_second = np.split(2 * derivative / of_class.sum(), 2)
    return of_first - of_second


_ITEM_GAINS = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
}


def is_defined(metric: str, y: np.ndarray, n_classes: int) -> bool:
    """Whether a metric is defined on items of these classes: rankings need all, or at least the positive one."""
    needed = {1} if metric == "average_precision" and n_classes == 2 else set(range(n_classes))
    return metric not in RANK_METRICS or needed <= set(y)
