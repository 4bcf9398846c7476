"""What each image adds to the difference of a metric between two layers that were measured on the same items.

Swapping the two layers' predictions of an image changes the sign of what it adds. Differences of accuracy, balanced
accuracy and ROC AUC are exact sums over images; of ROC AUC because, with both layers' items pooled, what a pair of two
swapped images adds cancels (Bandos, Rockette and Gur 2005, doi:10.1002/sim.2149). Those of F1 and average precision are
such sums to first order, about the pool of both layers, which no swap changes.
"""

from dataclasses import dataclass

import numpy as np

from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import class_margins
from layerwise.probes.metrics.ranking import ranked_classes


@dataclass(frozen=True)
class Gains:
    """What each of n images adds to the difference.

    Attributes:
        by_part: shape (S, n), what an image adds to the difference in each of S parts: labels or, for metrics in which
            classes count alike, their classes. The difference is the sum of all.
        weights: shape (S, n), an image's share of each part; the shares of a part sum to 1.
        shares: shape (C, n), an image's share of the items, averaged over labels: of all items (C = 1) or, where
            classes count alike, of each class. They depend on counts alone, not on what was predicted.
    """

    by_part: np.ndarray
    weights: np.ndarray
    shares: np.ndarray

    @property
    def effective_images(self) -> float:
        """The number of images of equal size that would be as even a sample of the scarcest class (Kish 1965)."""
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
        metric: one of :data:`layerwise.probes.metrics.catalogue.METRICS`.
        labels: those that the metric is defined for.
        n_images: n.
        n_classes: K.
    """
    by_part, weights = [], []
    # By class for metrics that give classes equal weight, else all together.
    shares: dict[int | None, list[np.ndarray]] = {}
    for label in labels:
        gains, parts = METRICS[metric].item_gains(label.y, label.first, label.second, n_classes)
        by_part.append(_by_image(gains / len(labels), label.images, n_images))
        weights.append(_by_image(parts, label.images, n_images))
        for k in np.unique(label.y) if METRICS[metric].by_class else [None]:
            counted = np.bincount(label.images[slice(None) if k is None else label.y == k], minlength=n_images)
            shares.setdefault(k, []).append(counted / counted.sum())
    of_class = [np.mean(of_labels, axis=0) for of_labels in shares.values()]
    return Gains(np.concatenate(by_part), np.concatenate(weights), np.stack(of_class))


def item_residuals(metric: str, label: LabelItems, n_classes: int) -> np.ndarray:
    """What each item adds to one label's difference, less the average of its part: shape (n,), with the sum 0.

    Parts are those of :class:`Gains`.
    """
    gains, parts = METRICS[metric].item_gains(label.y, label.first, label.second, n_classes)
    return (gains - gains.sum(axis=1, keepdims=True) * parts).sum(axis=0)


def _by_image(values: np.ndarray, images: np.ndarray, n_images: int) -> np.ndarray:
    return np.stack([np.bincount(images, part, n_images) for part in values])


def area_residuals(y: np.ndarray, scores: np.ndarray, n_classes: int) -> np.ndarray:
    """What each item adds to ROC AUC, less the mean of its class: shape (n,).

    Sums over an image give the variance of the area where items share images (Obuchowski 1997, doi:10.2307/2533958).
    """
    found, ranked = np.zeros(len(y)), ranked_classes(n_classes)
    for k in ranked:
        margins, positive = class_margins(scores, k), y == k
        for of_class, sign in ((positive, 1), (~positive, -1)):
            others = np.sort(margins[~of_class])
            below = np.searchsorted(others, margins[of_class], "left")
            below = (below + np.searchsorted(others, margins[of_class], "right")) / (2 * len(others))
            found[of_class] += sign * (below - below.mean()) / of_class.sum() / len(ranked)
    return found
