"""What an engine that fits probes takes and gives: L2-regularised logistic regression over a path of C."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layerwise.errors import InputError
from layerwise.probes.problems import Problem, in_blocks


@dataclass(frozen=True)
class Fit:
    """A fitted probe.

    Attributes:
        coefficients: shape (1, width) for two classes, else (K, width).
        intercepts: shape (1,) or (K,).
        C: inverse strength of the penalty.
        converged: whether the solver met its own criterion.
    """

    coefficients: np.ndarray
    intercepts: np.ndarray
    C: float
    converged: bool

    def scores(self, states: np.ndarray) -> np.ndarray:
        """Margins, shape (n, 1) for two classes, else (n, K), of states of shape (n, width)."""
        return states @ self.coefficients.T + self.intercepts


class ProbeEngine(Protocol):
    """Fits all problems of one layer, for all C. Engines differ in speed, not in what they minimise."""

    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Fit]]:
        """For each problem its fits in the order of ``C``: at least up to the one that :func:`choose` takes.

        Minimises scikit-learn's objective over the training rows: sum of log losses + |w|^2 / (2 C), free intercept.

        Args:
            states: shape (rows, width), standardised.
            problems: what to learn from which rows.
            C: inverse strengths of the penalty, ascending.

        Raises:
            InputError: on a problem whose training rows are not of all its classes.
        """
        ...


def check_classes(problems: list[Problem]) -> None:
    """Raise InputError on a problem whose training rows lack a class: its objective has no minimum."""
    for problem in problems:
        missing = np.setdiff1d(np.arange(problem.n_classes), problem.y["train"])
        if len(missing):
            raise InputError(
                f"label {problem.label!r} has no training item of class {missing[0]} (of {problem.n_classes}): "
                "raise min_per_class of its task, or leave the label out"
            )


def log_loss(scores: np.ndarray, y: np.ndarray) -> float:
    """Mean log loss of margins, shape (n, 1) or (n, K)."""
    margins = np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
    margins = margins.astype(np.float64)
    return float(np.mean(np.logaddexp.reduce(margins, axis=1) - margins[np.arange(len(y)), y]))


def margins(fits: Sequence[Fit], states: np.ndarray, rows: np.ndarray) -> list[np.ndarray]:
    """Margins of several fits on some rows, each of shape (n, 1) or (n, K); rows are taken out a block at a time.

    Args:
        fits: of one problem.
        states: shape (all rows, width).
        rows: which to take, shape (n,).
    """
    weights = np.concatenate([fit.coefficients for fit in fits])
    intercepts = np.concatenate([fit.intercepts for fit in fits])
    parts = [states[block] @ weights.T + intercepts for block in in_blocks(rows, states.shape[1])]
    found = np.concatenate(parts) if parts else np.empty((0, len(weights)))
    return np.split(found, len(fits), axis=1)


def choose(fits: Sequence[Fit], states: np.ndarray, rows: np.ndarray, y: np.ndarray) -> Fit:
    """The fit of least loss on validation rows of ``states``; of equals the one with the stronger penalty."""
    losses = [log_loss(scores, y) for scores in margins(fits, states, rows)]
    return min(zip(losses, fits, strict=True), key=lambda pair: (pair[0], pair[1].C))[1]
