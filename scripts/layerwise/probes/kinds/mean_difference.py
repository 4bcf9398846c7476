"""``mean-difference``: the direction from one class's mean to the other's, without a penalty to choose.

Of K classes with means m_k, whose own mean is m, the margin of class k at x is

    s (x - m) . (m_k - m)  -  s (|m_k - m|^2) / 2,

so that the nearest class mean wins, and the border of two classes halves the way between their means. For two classes
this is the difference of means (Marks and Tegmark 2023, arXiv 2310.06824).

The scale s makes margins log odds, as far as classes are equally frequent and spread alike. With c_k = m_k - m and the
covariance W within classes, s = sum_k |c_k|^2 / sum_k (c_k . W c_k). For two classes this is linear discriminant
analysis along their direction. The scale changes no answer, only how many bits a label takes.
"""

import numpy as np

from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import Fit, check_classes
from layerwise.probes.kinds.kind import ProbeKind
from layerwise.probes.problems import Problem, in_blocks


class MeanDifference:
    """See :class:`layerwise.probes.engine.ProbeEngine`."""

    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Fit]]:
        """See :meth:`layerwise.probes.engine.ProbeEngine.fit`. There is no penalty: all C give the same probe."""
        check_classes(problems)
        found = [_fit(states, problem) for problem in problems]
        return [[Fit(coefficients, intercepts, strength, True) for strength in C] for coefficients, intercepts in found]


def _fit(states: np.ndarray, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, shape (1, width) or (K, width), and intercepts."""
    rows, y = problem.rows["train"], problem.y["train"]
    of_class = np.eye(problem.n_classes)[y]
    blocks = in_blocks(np.arange(len(rows)), states.shape[1])
    sums = sum((of_class[block].T @ states[rows[block]] for block in blocks), np.zeros((problem.n_classes, 1)))
    means = sums / of_class.sum(axis=0)[:, None]
    centre = means.mean(axis=0)
    directions = means - centre
    within = np.zeros(problem.n_classes)
    for block in in_blocks(np.arange(len(rows)), states.shape[1]):
        along = (states[rows[block]] - means[y[block]]) @ directions.T
        within += np.square(along).sum(axis=0)
    length, spread = np.square(directions).sum(), within.sum() / len(rows)
    # Without spread along the directions, as of constant states, margins keep their own scale.
    scale = length / spread if spread > 0 else 1.0
    coefficients = scale * directions
    intercepts = -coefficients @ centre - scale * np.square(directions).sum(axis=1) / 2
    if problem.n_classes == 2:
        coefficients, intercepts = coefficients[1:] - coefficients[:1], intercepts[1:] - intercepts[:1]
    return coefficients.astype(np.float32), intercepts


def _start(threads: int, budget_bytes: int, seed: int) -> ProbeEngine:
    return MeanDifference()


KIND = ProbeKind("mean-difference", _start, products=lambda layers, tried: layers, has_penalty=False)
