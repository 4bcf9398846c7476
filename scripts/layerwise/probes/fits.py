"""Fitted probes, their margins and loss, and the choice among fits of different C."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layerwise.errors import InputError
from layerwise.probes.all_layers import States
from layerwise.probes.problems import Problem, in_blocks


class Probe(Protocol):
    """A fitted probe, of whichever kind."""

    @property
    def C(self) -> float:
        """Inverse strength of the penalty."""
        ...

    @property
    def converged(self) -> bool:
        """Whether the solver met its own criterion."""
        ...

    def scores(self, states: np.ndarray) -> np.ndarray:
        """Margins, shape (n, 1) for two classes, else (n, K), of states of shape (n, width).

        A portion of the training images may hold no item of a label, so that n may be 0.
        """
        ...


@dataclass(frozen=True)
class Fit:
    """A fitted linear probe: an affine map from states to margins.

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


def check_classes(problems: list[Problem]) -> None:
    """Raise InputError on a problem whose training rows lack a class: the log loss then has no minimum."""
    for problem in problems:
        y = problem.y["train"]
        seen = np.bincount(y if problem.counts is None else y[problem.counts > 0], minlength=problem.n_classes)
        missing = np.flatnonzero(seen[: problem.n_classes] == 0)
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


def margins(fits: Sequence[Probe], states: States, rows: np.ndarray) -> list[np.ndarray]:
    """Margins of several fits on some rows, each of shape (n, 1) or (n, K); rows are copied a block at a time.

    Args:
        fits: of one problem.
        states: shape (all rows, width); or all layers.
        rows: which to take, shape (n,).
    """
    linear = [fit for fit in fits if isinstance(fit, Fit)]
    if len(linear) < len(fits):
        return [np.concatenate([fit.scores(states[block]) for block in _blocks(rows, states)]) for fit in fits]
    # One product for all.
    weights = np.concatenate([fit.coefficients for fit in linear])
    intercepts = np.concatenate([fit.intercepts for fit in linear])
    parts = [states[block] @ weights.T + intercepts for block in in_blocks(rows, states.shape[1])]
    found = np.concatenate(parts) if parts else np.empty((0, len(weights)))
    return np.split(found, len(fits), axis=1)


def _blocks(rows: np.ndarray, states: States) -> list[np.ndarray]:
    """The rows in parts; at least one, if it is empty."""
    return list(in_blocks(rows, states.shape[1])) or [rows]


def choose(fits: Sequence[Probe], states: States, rows: np.ndarray, y: np.ndarray) -> Probe:
    """The fit of least loss on validation rows of ``states``; of equal ones that with the strongest penalty."""
    losses = [log_loss(scores, y) for scores in margins(fits, states, rows)]
    return min(zip(losses, fits, strict=True), key=lambda pair: (pair[0], pair[1].C))[1]
