"""F1: of two classes that of the second one, else the mean over classes."""

import numpy as np

from layerwise.probes.metrics.margins import predicted
from layerwise.probes.metrics.metric import Metric
from layerwise.probes.metrics.ranking import ranked_classes


def _compute(y: np.ndarray, scores: np.ndarray, weights: np.ndarray, n_classes: int) -> np.ndarray:
    guess = predicted(scores)
    values = []
    for k in ranked_classes(n_classes):
        total = weights @ ((guess == k).astype(float) + (y == k))
        true = weights @ ((guess == k) & (y == k))
        values.append(np.divide(2 * true, total, out=np.zeros_like(total), where=total > 0))
    return np.mean(values, axis=0)


def _item_gains(y: np.ndarray, first: np.ndarray, second: np.ndarray, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    ranked = ranked_classes(n_classes)
    gains, shares = [], []
    for k in ranked:
        positive = y == k
        guesses = [(predicted(scores) == k).astype(float) for scores in (first, second)]
        # F1 is twice the true positives over the guessed and the real ones; of the pool each layer is one half.
        true, guessed = [guess * positive for guess in guesses], guesses[0] + guesses[1]
        share = guessed / 2 + positive
        total = share.sum()
        if not total:
            gains.append(np.zeros(len(y)))
            shares.append(np.full(len(y), 1 / len(y)))
            continue
        pooled = (true[0] + true[1]).sum() / total
        gains.append((2 * (true[0] - true[1]) - pooled * (guesses[0] - guesses[1])) / total / len(ranked))
        shares.append(share / total)
    return np.stack(gains), np.stack(shares)


METRIC = Metric(
    name="f1",
    label="F1",
    compute=_compute,
    item_gains=_item_gains,
    least_images=30,
    least_texts=60,
)
