"""A probe without training: it answers the class whose mean is nearest.

For two classes its direction is the difference of the class means, as in Marks and Tegmark (2023, arXiv 2310.06824). It
has no penalty and knows no correlation between dimensions.
"""

import numpy as np

from layerwise.probes.fits import Fit, check_classes
from layerwise.probes.problems import Problem, in_blocks


def fit_means(states: np.ndarray, problems: list[Problem]) -> list[Fit]:
    """For each problem its probe: margins are -|x - mean|^2 / 2, less what all classes share.

    Args:
        states: shape (rows, width).
        problems: what to learn from which rows.

    Raises:
        InputError: on a problem whose training rows lack one of its classes.
    """
    check_classes(problems)
    return [_fit(states, problem) for problem in problems]


def _fit(states: np.ndarray, problem: Problem) -> Fit:
    rows, y = problem.rows["train"], problem.y["train"]
    means = np.zeros((problem.n_classes, states.shape[1]))
    for k in range(problem.n_classes):
        for block in in_blocks(rows[y == k], states.shape[1]):
            means[k] += states[block].sum(axis=0, dtype=np.float64)
        means[k] /= (y == k).sum()
    # Without their common centre the squares stay small, so that float32 weights cost no precision.
    centre = means.mean(axis=0)
    weights = means - centre
    intercepts = -np.square(weights).sum(axis=1) / 2 - weights @ centre
    if problem.n_classes == 2:
        weights, intercepts = weights[1:] - weights[:1], intercepts[1:] - intercepts[:1]
    return Fit(weights.astype(np.float32), intercepts, float("nan"), converged=True)
