"""``mix``: one weighting of all layers, shared by all labels of a task, read by logistic regression.

The scalar mix of ELMo (Peters et al. 2018, arXiv 1802.05365), with which Tenney et al. (2019, arXiv 1905.05950) ask
where a model knows something. It is a reference for probes of single layers: no layer that it weighs low is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, softmax

from layerwise.probes.all_layers import AllLayers
from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import Fit, check_classes, log_loss, margins
from layerwise.probes.kinds.kind import ProbeKind
from layerwise.probes.problems import Problem, in_blocks

if TYPE_CHECKING:
    from layerwise.probes.logistic.engines.sklearn_logistic import SklearnEngine
    from layerwise.probes.logistic.torch_engine import TorchEngine

# Rounds of weights and readout: at most, and the relative fall of the loss below which the last one ended it.
ROUNDS = 30
LEAST_FALL = 1e-3


@dataclass(frozen=True)
class MixedProbe:
    """A fitted probe of a mixture of layers.

    Attributes:
        layer_weights: shape (layers,), above 0, their sum is 1.
        margins: of all rows of the states, shape (rows, 1) for two classes, else (rows, K).
        C: inverse strength of the penalty of its readout.
        converged: whether the loss had stopped falling, and the readout had converged.
    """

    layer_weights: np.ndarray
    margins: np.ndarray
    C: float
    converged: bool

    def scores(self, states: np.ndarray) -> np.ndarray:
        """Margins of rows, given by their numbers, shape (n,)."""
        return self.margins[states]


class Mix:
    """Fits layer weights and readout in turn, since all layers together do not fit into memory.

    Given the weights, the readout is fitted to the mixture. Given the readout's directions, each layer adds its
    margins, and the weights are fitted to these, together with a factor and intercepts of each label. Both lower the
    same objective: the mean over labels of the log loss plus the penalty of logistic regression. The layers are
    standardised, and the weights are a softmax, so that they start from equal ones and sum to 1.

    All labels have one C, the one with the least mean validation loss. It is chosen for equal weights, and again at the
    end.
    """

    def __init__(self, readout: "TorchEngine | SklearnEngine", rounds: int = ROUNDS, least_fall: float = LEAST_FALL):
        """
        Args:
            readout: fits logistic regression, and each C of a path.
            rounds, least_fall: when to stop.
        """
        self.readout, self.rounds, self.least_fall = readout, rounds, least_fall

    def fit(self, states: AllLayers, problems: list[Problem], C: list[float]) -> list[list[MixedProbe]]:
        """See :meth:`layerwise.probes.engine.ProbeEngine.fit`. With validation rows, gives the fit of the best C."""
        check_classes(problems)
        held_out = all("val" in problem.rows and len(problem.rows["val"]) for problem in problems)
        with states.buffer() as buffer:
            found = [self._fit(states, problems, tried, buffer) for tried in ([C] if held_out else [[c] for c in C])]
        return [list(of_problem) for of_problem in zip(*found, strict=True)]

    def _fit(self, states: AllLayers, problems: list[Problem], C: list[float], buffer: np.ndarray) -> list[MixedProbe]:
        """For each problem its probe, all with the same weights."""
        logits = np.zeros(states.n_layers)
        mixed = states.mixed(softmax(logits), buffer)
        fits = self._readout(mixed, problems, C)
        loss, converged = objective(mixed, problems, fits), False
        for _ in range(self.rounds):
            logits = _weigh(_layer_margins(states, problems, fits), problems, fits, logits)
            mixed = states.mixed(softmax(logits), buffer)
            fits = self._readout(mixed, problems, [fits[0].C])
            before, loss = loss, objective(mixed, problems, fits)
            if converged := loss > (1 - self.least_fall) * before:
                break
        if len(C) > 1:
            fits = self._readout(mixed, problems, C)
        rows = np.arange(len(mixed))
        return [
            MixedProbe(
                *(
                    softmax(logits),
                    margins([fit], mixed, rows)[0].astype(np.float32),
                    fit.C,
                    fit.converged and converged,
                )
            )
            for fit in fits
        ]

    def _readout(self, mixed: np.ndarray, problems: list[Problem], C: list[float]) -> list[Fit]:
        """The readout of each problem, at the C of the least mean validation loss."""
        paths = self.readout.fit(mixed, problems, C)
        if len(C) == 1:
            return [path[0] for path in paths]
        losses = [
            [log_loss(scores, problem.y["val"]) for scores in margins(path, mixed, problem.rows["val"])]
            for path, problem in zip(paths, problems, strict=True)
        ]
        best = int(np.mean(losses, axis=0).argmin())
        return [path[best] for path in paths]


def objective(mixed: np.ndarray, problems: list[Problem], fits: Sequence[Fit]) -> float:
    """Mean over labels of the training rows' log loss plus the penalty: what weights and readout both lower."""
    return float(
        np.mean(
            [
                log_loss(margins([fit], mixed, problem.rows["train"])[0], problem.y["train"]) + _penalty(fit, problem)
                for problem, fit in zip(problems, fits, strict=True)
            ]
        )
    )


def _penalty(fit: Fit, problem: Problem) -> float:
    return float(np.square(fit.coefficients.astype(np.float64)).sum() / (2 * fit.C * len(problem.y["train"])))


def _layer_margins(states: AllLayers, problems: list[Problem], fits: Sequence[Fit]) -> list[np.ndarray]:
    """By problem, what each layer alone would add to the margins of its training rows, shape (layers, n, K)."""
    weights = np.concatenate([fit.coefficients for fit in fits]).T
    ends = np.cumsum([len(fit.coefficients) for fit in fits])
    union = np.unique(np.concatenate([problem.rows["train"] for problem in problems]))
    places = [np.searchsorted(union, problem.rows["train"]) for problem in problems]
    found = [
        np.empty((states.n_layers, len(place), len(fit.coefficients)), np.float32)
        for place, fit in zip(places, fits, strict=True)
    ]
    for layer, of_layer in enumerate(states.layers()):
        products = np.concatenate([of_layer[block] @ weights for block in in_blocks(union, states.shape[1])])
        for added, place, of_problem in zip(found, places, np.split(products, ends[:-1], axis=1), strict=True):
            added[layer] = of_problem[place]
    return found


def _weigh(added: list[np.ndarray], problems: list[Problem], fits: Sequence[Fit], start: np.ndarray) -> np.ndarray:
    """Logits of the layer weights that lower the objective most, given the readouts' directions.

    Args:
        added: see :func:`_layer_margins`.
        problems, fits: theirs.
        start: logits to start from, shape (layers,).
    """
    n_layers, sizes = len(start), [len(fit.intercepts) for fit in fits]
    ends = np.cumsum([n_layers, len(fits), *sizes])
    penalties = [_penalty(fit, problem) for fit, problem in zip(fits, problems, strict=True)]

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        logits, factors, *intercepts = np.split(numbers, ends[:-1])
        weights = softmax(logits)
        total, of_weights, of_factors, of_intercepts = 0.0, np.zeros(n_layers), np.zeros(len(fits)), []
        for k, (of_label, problem) in enumerate(zip(added, problems, strict=True)):
            direction = np.tensordot(weights, of_label, 1)
            of_loss, slope = _loss_and_slope(factors[k] * direction + intercepts[k], problem.y["train"])
            total += of_loss + factors[k] ** 2 * penalties[k]
            of_weights += factors[k] * np.tensordot(of_label, slope, 2)
            of_factors[k] = np.sum(direction * slope) + 2 * factors[k] * penalties[k]
            of_intercepts.append(slope.sum(axis=0))
        of_logits = weights * (of_weights - weights @ of_weights)
        return total / len(fits), np.concatenate([of_logits, of_factors, *of_intercepts]) / len(fits)

    first = np.concatenate([start, np.ones(len(fits)), *(fit.intercepts for fit in fits)])
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x[:n_layers]


def _loss_and_slope(scores: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Mean log loss of margins, shape (n, K), and its derivative by each."""
    if scores.shape[1] == 1:
        signs = 2 * y[:, None] - 1
        return float(np.logaddexp(0, -signs * scores).mean()), -signs * expit(-signs * scores) / len(y)
    logs = log_softmax(scores, axis=1)
    slope = np.exp(logs)
    slope[np.arange(len(y)), y] -= 1
    return float(-logs[np.arange(len(y)), y].mean()), slope / len(y)


def _start(threads: int, budget_bytes: int, seed: int) -> ProbeEngine:
    # Not at the top: the process must have chosen its GPU before it imports torch.
    from layerwise.probes.logistic.torch_engine import TorchEngine

    return Mix(TorchEngine(threads, early_end=False, host_budget_bytes=budget_bytes))


KIND = ProbeKind(
    "mix",
    _start,
    # A path at the start and one at the end, and about six rounds of a fit and of the margins of all layers.
    products=lambda layers, tried: 12 * (2 * tried + 6) + 6 * layers / 2,
    reads_all_layers=True,
    uses_card=True,
)
