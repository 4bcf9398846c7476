"""What a metric is: how it is computed, and what intervals, tests and figures need to know of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from layerwise.probes.bootstrap import Interval, score_interval
from layerwise.probes.metrics.margins import constant_margins

# Metrics hold a few numbers per weighting and item; computing some weightings at a time bounds the memory.
NUMBERS_AT_ONCE = 2**19
TASK_KINDS = ("binary", "multiclass", "multilabel")


@dataclass(frozen=True)
class Metric:
    """An entry of :data:`layerwise.probes.metrics.catalogue.METRICS`.

    Attributes:
        name: as studies and tables say it.
        label: in words, for axes.
        compute: from class indices y (n,), margins (n, 1) or (n, K), weights (R, n) and the number of classes K to
            values (R,). It agrees with scikit-learn's function under ``sample_weight``; where it is not defined (a
            weighting lacks a class that it needs) it is NaN.
        item_gains: from y, the margins of two layers on the same items and K, what each item adds to the first layer's
            value less the second's, and each item's share of the part that it counts in: two arrays (S, n). Parts are
            the groups of items that count alike, such as classes. The difference is the sum of all gains: exactly, or
            to first order about the pool of both layers.
        least_images: effective number of images below which a difference gets no p-value
            (:func:`layerwise.compare.statistics.swaps.enough_images`).
        least_texts: the same of texts that many images share.
        interval: how a confidence interval is made from resamples. Default - that of a share of items.
        limits: the least and the greatest value.
        ranks: whether it looks at the order of items rather than at the predicted classes.
        by_class: whether classes count alike, however frequent they are.
        task_kinds: the kinds of tasks that it suits.
    """

    name: str
    label: str
    compute: Callable[[np.ndarray, np.ndarray, np.ndarray, int], np.ndarray]
    item_gains: Callable[[np.ndarray, np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
    least_images: int
    least_texts: int
    interval: Interval = score_interval
    limits: tuple[float, float] = (0.0, 1.0)
    ranks: bool = False
    by_class: bool = True
    task_kinds: tuple[str, ...] = TASK_KINDS

    def values(self, y: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
        """The metric under each weighting, shape (R,).

        Args:
            y: class indices, shape (n,).
            scores: margins, shape (n, 1) for two classes, else (n, K).
            weights: shape (R, n): ones for the plain value, those of :mod:`layerwise.probes.bootstrap` for resamples.
            n_classes: K.
        """
        at_once = max(1, NUMBERS_AT_ONCE // max(len(y), 1))
        parts = (weights[start : start + at_once] for start in range(0, len(weights), at_once))
        return np.concatenate([self.compute(y, scores, np.asarray(part, np.float64), n_classes) for part in parts])

    def chance(self, train: Sequence[float], shown: Sequence[float]) -> float:
        """The majority baseline: the value of always answering the training split's most frequent class.

        Args:
            train: items of each class in the training split, or their shares. The first of equally frequent classes
                counts as the most frequent.
            shown: the same in the split on which the answers are scored.
        """
        counts, n_classes = np.asarray(shown, np.float64), len(shown)
        always = np.tile(constant_margins(np.asarray(train)), (n_classes, 1))
        return float(self.values(np.arange(n_classes), always, counts[None], n_classes)[0])

    def is_defined(self, y: np.ndarray, n_classes: int) -> bool:
        """Whether it can be computed of items with these classes; some rankings need all classes."""
        alike = np.zeros((len(y), 1 if n_classes == 2 else n_classes))
        return bool(np.isfinite(self.values(y, alike, np.ones((1, len(y))), n_classes)[0]))

    @property
    def greatest_difference(self) -> float:
        """The greatest difference of two values."""
        return self.limits[1] - self.limits[0]
