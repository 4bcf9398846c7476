"""Is a model as often right as its probabilities say? Brier score and expected calibration error of its answers."""

import numpy as np
import pandas as pd
from scipy.special import expit, softmax

# Bins of equally many items.
BINS = 10
# Probabilities of the same input differ in their last digits, which must not spread its items over bins.
DECIMALS = 6


def class_probabilities(margins: np.ndarray) -> np.ndarray:
    """Probability of each class among the task's classes, shape (n, K).

    Args:
        margins: differences of log probability, shape (n, 1) for two classes, else log probabilities (n, K).
    """
    margins = np.asarray(margins, np.float64)
    if margins.shape[1] == 1:
        return np.concatenate([expit(-margins), expit(margins)], axis=1)
    return softmax(margins, axis=1)


def brier_scores(y: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Squared errors of items, shape (n,): half the sum over classes, from 0 to 1 (Brier 1950,
    doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2).

    Half, so that two classes give the square of the second one's error. Always answering 1/2 gives 0.25.

    Args:
        y: class indices, shape (n,).
        probabilities: shape (n, K).
    """
    truth = y[:, None] == np.arange(probabilities.shape[1])
    return np.square(probabilities - truth).sum(axis=1) / 2


def calibration_error(y: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error: how far accuracy and the said class's probability are apart, on average over bins.

    Items are sorted by the probability of the class that is said, and divided into bins of equally many items; those of
    equal probability stay together (Naeini et al. 2015, doi:10.1609/aaai.v29i1.9602; equally filled bins: Nguyen and
    O'Connor 2015, arXiv:1508.05154). Chance alone makes it greater than 0, by up to 0.04 with 1,000 items and ten bins,
    and in a resample again (Roelofs et al. 2022, arXiv:2012.08668). So it has no interval.

    Args:
        y: class indices, shape (n,).
        probabilities: shape (n, K).
        bins: how many.
    """
    said = probabilities.argmax(axis=1)
    sure = probabilities[np.arange(len(y)), said]
    ranks = pd.Series(sure.round(DECIMALS)).rank(method="average").to_numpy()
    of_bin = np.floor((ranks - 0.5) / len(y) * bins).astype(np.int64)
    # |accuracy - probability| of a bin, times its share of the items.
    return float(np.abs(np.bincount(of_bin, (said == y) - sure)).sum() / len(y))
