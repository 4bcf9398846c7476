"""What metrics of the order of items have in common: one class against the rest, and the mean over classes."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from layerwise.probes.metrics.item_gains import class_parts, shares
from layerwise.probes.metrics.margins import class_margins

# From whether items are positive (n,), their scores (n,) and weights (R, n) to values (R,).
Binary = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
# From whether items are positive and their ranks in two layers, each (n,), to what each adds to the difference (n,).
BinaryGains = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def ranked_classes(n_classes: int) -> list[int]:
    """The second of two classes, else all."""
    return [1] if n_classes == 2 else list(range(n_classes))


def one_against_rest(
    y: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_classes: int, binary: Binary
) -> np.ndarray:
    """Mean of a metric of two classes over the classes, each ranked by its probability: shape (R,).

    A class missing from a weighting leaves the mean undefined, as scikit-learn refuses it.
    """
    return np.mean([binary(y == k, class_margins(scores, k), weights) for k in ranked_classes(n_classes)], axis=0)


def one_against_rest_gains(
    y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int, binary: BinaryGains
) -> tuple[np.ndarray, np.ndarray]:
    """Gains of items and their shares for :func:`one_against_rest`; a class and its rest are two parts."""
    ranked = ranked_classes(n_classes)
    gains, of_parts = [], []
    for k in ranked:
        positive = y == k
        # Margins of two probes have no common scale; their ranks have.
        ranks = [pd.Series(class_margins(scores, k)).rank().to_numpy() for scores in (first, second)]
        of_items = binary(positive, *ranks) / len(ranked)
        parts = class_parts(positive, 2)
        gains.append(of_items * parts)
        of_parts.append(shares(parts))
    return np.concatenate(gains), np.concatenate(of_parts)


def cumulated(positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of positives and of all items at or above each distinct score, from the highest down: shapes (R, t)."""
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    ordered = weights[:, order]
    above = np.cumsum(ordered, axis=1)[:, last_of_tie]
    positives = np.cumsum(ordered * positive[order], axis=1)[:, last_of_tie]
    return positives, above
