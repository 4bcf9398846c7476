"""Fits attention probes: all labels that learn from the same pictures, and all penalties, together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import Fit, Probe, check_classes, choose
from layerwise.probes.logistic.loss import LogLoss
from layerwise.probes.pooled.objective import Objective, Tokens, margins_of
from layerwise.probes.pooled.solver import minimise
from layerwise.probes.pooled.token_states import TokenStates
from layerwise.probes.problems import Problem

# Relative gain of the last step.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class AttentionProbe:
    """A fitted attention probe of one layer, see :mod:`layerwise.probes.pooled.objective`.

    Attributes:
        queries, weights: shape (1, width) for two classes, else (K, width).
        intercepts: shape (1,) or (K,).
        margins: of every picture of the layer, shape (pictures, 1) or (pictures, K).
        C: inverse strength of the penalty.
        converged: whether the solver met its own criterion.
    """

    queries: np.ndarray
    weights: np.ndarray
    intercepts: np.ndarray
    margins: np.ndarray
    C: float
    converged: bool

    def scores(self, states: np.ndarray) -> np.ndarray:
        """Margins, shape (n, 1) for two classes, else (n, K), of pictures by row, shape (n,)."""
        return self.margins[states]


class AttentionEngine:
    """L-BFGS from the ordinary probe of the mean, whose query is 0.

    Each C starts where the ordinary probe of the same C ends, so its objective is never worse than that probe's.
    Results are the same for the same number of threads.
    """

    def __init__(self, of_means: ProbeEngine, threads: int, budget_bytes: int, device: str | None = None):
        """
        Args:
            of_means: fits the ordinary probes of the means.
            threads: of torch in this process.
            budget_bytes: memory for tokens and what becomes of them, beside the layer itself.
            device: Default - cuda if available, else cpu.
        """
        torch.set_num_threads(threads)
        self._of_means, self._budget = of_means, budget_bytes
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.device.type == "cuda":
            self._budget = int(torch.cuda.mem_get_info(self.device)[0] * 0.8)

    def fit(self, states: TokenStates, problems: list[Problem], C: list[float]) -> list[list[AttentionProbe]]:
        """See :meth:`layerwise.probes.engine.ProbeEngine.fit`; gives a fit for each C."""
        check_classes(problems)
        starts = self._of_means.fit(states.means, problems, C)
        groups: dict[tuple[int, bytes], list[int]] = {}
        for place, problem in enumerate(problems):
            rows = np.unique(problem.rows["train"])
            groups.setdefault((problem.n_classes, rows.tobytes()), []).append(place)
        found: list[list[AttentionProbe]] = [[] for _ in problems]
        for members in groups.values():
            of_group = [problems[place] for place in members]
            start = torch.stack(
                [
                    _start_of(path, states.means, problem, each)
                    for problem, path in ((problems[place], starts[place]) for place in members)
                    for each in C
                ]
            ).to(self.device)
            parameters, converged = minimise(self._objective(states, of_group, C), start, TOLERANCE)
            margins = margins_of(Tokens(states, self.device, self._budget), parameters).cpu().numpy()
            for fit, (place, each) in enumerate((place, each) for place in members for each in C):
                own, width = parameters[fit].cpu().numpy(), states.shape[1]
                parts = own[:, :width], own[:, width:-1], own[:, -1]
                found[place].append(AttentionProbe(*parts, margins[fit].T, each, bool(converged[fit])))
        return found

    def looked_at(self, states: TokenStates, queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """How much queries look at each token: what the attention is the softmax of, which tells weak queries' tokens
        apart, too.

        Args:
            states: of the layer.
            queries: shape (queries, width).
            rows: of pictures, shape (n,).

        Returns:
            Shape (n, queries, most tokens), float32; NaN for tokens that a picture does not have.
        """
        tokens = Tokens(states, self.device, self._budget, rows)
        asked = torch.from_numpy(queries).to(self.device)
        parts = [
            (some @ asked.T).masked_fill(missing[..., None], torch.nan).transpose(1, 2).cpu().numpy()
            for _, some, missing in tokens.parts(len(queries))
        ]
        return np.concatenate(parts)

    def _objective(self, states: TokenStates, problems: list[Problem], C: list[float]) -> Objective:
        """Of problems with the same training pictures, each with every C."""
        rows = np.unique(problems[0].rows["train"])
        n_margins = 1 if problems[0].n_classes == 2 else problems[0].n_classes
        y = np.zeros((len(problems), n_margins, len(rows)), np.float32)
        shares = np.zeros((len(problems), 1, len(rows)), np.float32)
        sizes = np.array([len(problem.y["train"]) for problem in problems])
        for place, problem in enumerate(problems):
            at = np.searchsorted(rows, problem.rows["train"])
            classes = problem.y["train"]
            # Items that show one picture have one label, see layerwise.tasks.picture_labels.
            y[place, 0 if n_margins == 1 else classes, at] = classes if n_margins == 1 else 1
            np.add.at(shares[place, 0], at, 1 / sizes[place])
        penalty = 1 / (np.array(C)[None] * sizes[:, None])

        def each(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.repeat(values, len(C), axis=0)).to(self.device)

        flat = torch.tensor(penalty.ravel(), dtype=torch.float32, device=self.device)
        return Objective(Tokens(states, self.device, self._budget, rows), LogLoss(each(y), each(shares)), flat)


def _start_of(path: Sequence[Probe], means: np.ndarray, problem: Problem, C: float) -> Tensor:
    """The ordinary probe as parameters, shape (K, 2 D + 1). Its path may end before a C that would be worse on
    validation."""
    same = [fit for fit in path if fit.C == C]
    fit = same[0] if same else choose(path, means, problem.rows["val"], problem.y["val"])
    if not isinstance(fit, Fit):
        raise TypeError(f"an ordinary probe is linear, not a {type(fit).__name__}")
    weights = np.asarray(fit.coefficients, np.float32)
    parts = [np.zeros_like(weights), weights, np.asarray(fit.intercepts, np.float32)[:, None]]
    return torch.from_numpy(np.concatenate(parts, axis=1))
