"""What single items add to the difference of two layers in a metric of predicted classes.

Functions give arrays of shape (S, n): S parts, see :attr:`layerwise.probes.metrics.metric.Metric.item_gains`.
"""

import numpy as np

from layerwise.probes.metrics.margins import predicted


def hits(y: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """1 where only the first layer is right, -1 where only the second one is, else 0: shape (n,)."""
    return (predicted(first) == y).astype(float) - (predicted(second) == y)


def class_parts(y: np.ndarray, n_classes: int) -> np.ndarray:
    """Whether items are of each class that occurs: one part per class."""
    of_class = y == np.arange(n_classes)[:, None]
    return of_class[of_class.any(axis=1)].astype(float)


def shares(parts: np.ndarray) -> np.ndarray:
    """Parts scaled to sum to 1 each."""
    return parts / parts.sum(axis=1, keepdims=True)
