"""What a probe's margins say: a class, and how sure it is of it.

Margins have the shape (n, 1) for two classes, positive for the second one, else (n, K).
"""

import numpy as np
from scipy.special import logsumexp


def predicted(scores: np.ndarray) -> np.ndarray:
    """Class indices, shape (n,), from margins."""
    return (scores[:, 0] > 0).astype(np.int64) if scores.shape[1] == 1 else scores.argmax(axis=1)


def class_margins(scores: np.ndarray, k: int) -> np.ndarray:
    """Log odds of class k, shape (n,), float64: what ranks items by class k against the rest.

    Of several classes a margin z_k alone does not rank items, because softmax ignores a shift of all margins of a row.
    The log odds z_k - log(sum of exp(z_j) over the other classes) do. They order items as the probability does, without
    the ties of probabilities that round to 0 or 1.

    Args:
        scores: margins.
        k: class index.
    """
    scores = scores.astype(np.float64)
    if scores.shape[1] == 1:
        return scores[:, 0] if k == 1 else -scores[:, 0]
    return scores[:, k] - logsumexp(np.delete(scores, k, axis=1), axis=1)


def constant_margins(counts: np.ndarray) -> np.ndarray:
    """Margins, shape (1,) or (K,), that always say the most frequent class, the first one of equals.

    Args:
        counts: items of each class, shape (K,).
    """
    if len(counts) == 2:
        return np.array([1.0 if counts[1] > counts[0] else -1.0])
    return (np.arange(len(counts)) == np.argmax(counts)).astype(float)
