"""What a model says once its leaning to one answer is taken out: an offset per class, chosen on validation.

Models say some answers, such as yes, too often, whatever is asked (Zhao et al. 2021, "Calibrate Before Use",
arXiv:2102.09690; of images Li et al. 2023, arXiv:2305.10355). Then they can rank items well and yet be right no more
often than chance. Offsets of the margins, chosen on items that are not scored, tell the two apart.
"""

import numpy as np

# Hardly ever reached: each round must gain something, and most classes are settled after two.
MOST_ROUNDS = 50
# Sums of weights differ in their last digits: a smaller gain is none.
ROUNDING = 1e-9


def item_weights(y: np.ndarray, by_class: bool) -> np.ndarray:
    """What a right answer to each item counts, shape (n,), with the sum 1.

    Args:
        y: class indices.
        by_class: whether classes count alike, as in balanced accuracy, rather than items, as in accuracy.
    """
    counts = np.bincount(y)
    weights = 1 / counts[y] / np.count_nonzero(counts) if by_class else np.full(len(y), 1 / len(y))
    return np.asarray(weights, np.float64)


def choose_offsets(y: np.ndarray, margins: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Offsets, to be added to margins, under which most of the weight is answered rightly.

    Of two classes the offset is the best one. Of more, the offset of one class at a time is set to its best value, in
    turns, until no turn gains anything (coordinate ascent); it ends at least as high as it starts. An offset stays 0
    where no other is better. Otherwise it lies in the middle between two items, of equally good places in the one
    closest to 0.

    Args:
        y: class indices, shape (n,).
        margins: shape (n, 1) for two classes, positive for the second one, else (n, K).
        weights: of :func:`item_weights`, shape (n,).

    Returns:
        Shape (1,) or (K,).
    """
    margins = np.asarray(margins, np.float64)
    if margins.shape[1] == 1:
        return np.array([_best_offset(-margins[:, 0], weights * (y == 1), weights * (y == 0), 0.0)[0]])
    offsets, reached = np.zeros(margins.shape[1]), -np.inf
    for _ in range(MOST_ROUNDS):
        before = reached
        for k in range(len(offsets)):
            others = np.delete(margins + offsets, k, axis=1)
            best_other = others.argmax(axis=1)
            # Index among all classes.
            said = best_other + (best_other >= k)
            turns = others.max(axis=1) - margins[:, k]
            offsets[k], reached = _best_offset(turns, weights * (y == k), weights * (said == y), offsets[k])
        if reached <= before + ROUNDING:
            break
    return offsets


def _best_offset(turns: np.ndarray, above: np.ndarray, below: np.ndarray, now: float) -> tuple[float, float]:
    """The offset of one class that answers most of the weight rightly, and that weight.

    Args:
        turns: shape (n,): the class is said of an item if the offset is greater than this.
        above: what an item adds if the class is said of it.
        below: what it adds otherwise.
        now: an offset that is kept unless another one is better.
    """
    order = np.argsort(turns, kind="stable")
    sorted_turns = turns[order]
    # Right if the class is said of the first k items, for k = 0 to n.
    right = (
        np.concatenate([[0], np.cumsum(above[order])]) + below.sum() - np.concatenate([[0], np.cumsum(below[order])])
    )
    middles = (sorted_turns[1:] + sorted_turns[:-1]) / 2
    offsets = np.concatenate([[sorted_turns[0] - 1], middles, [sorted_turns[-1] + 1]])
    # No offset divides items that turn at the same place.
    possible = np.concatenate([[True], np.diff(sorted_turns) > 0, [True]])
    offsets, right = offsets[possible], right[possible]
    reached_now = float(above[turns < now].sum() + below[turns >= now].sum())
    if right.max() <= reached_now + ROUNDING:
        return now, reached_now
    best = np.flatnonzero(right >= right.max() - ROUNDING)
    chosen = best[np.abs(offsets[best]).argmin()]
    return float(offsets[chosen]), float(right[chosen])
