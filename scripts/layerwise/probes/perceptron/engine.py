"""Trains the perceptrons of all labels of a layer together, on a GPU if there is one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from layerwise.probes.fits import check_classes
from layerwise.probes.problems import Problem

# The validation loss is looked at after so many steps, and after each pass over more rows than fit into these.
STEPS = 32
BATCH = (32, 1024)
LEARNING_RATE = 1e-3
# Looks at the validation loss: at most, and without a new minimum.
MOST_LOOKS, PATIENCE = 40, 6


@dataclass(frozen=True)
class Perceptron:
    """A fitted perceptron: margins are ``relu(x W + b) V + c``.

    Attributes:
        hidden: W and b, shapes (width, hidden) and (hidden,).
        out: V and c, shapes (hidden, K) and (K,); K is 1 for two classes.
        C: inverse strength of the L2 penalty on W and V.
        converged: whether the validation loss had stopped falling.
    """

    hidden: tuple[np.ndarray, np.ndarray]
    out: tuple[np.ndarray, np.ndarray]
    C: float
    converged: bool

    def scores(self, states: np.ndarray) -> np.ndarray:
        """Margins, shape (n, 1) for two classes, else (n, K), of states of shape (n, width)."""
        return np.maximum(states @ self.hidden[0] + self.hidden[1], 0) @ self.out[0] + self.out[1]


class PerceptronEngine:
    """Adam on batches of rows, all labels and penalties at once, stopped early by each one's validation loss.

    The objective is that of logistic regression, the mean log loss plus |W|^2 / (2 C n) of all weights. All start from
    the same random weights, and a label's batches depend on its number of rows alone, so that labels do not depend on
    each other. Results are the same for the same number of threads. Without validation rows a problem trains to the
    end.
    """

    def __init__(self, hidden: int, threads: int, budget_bytes: int, seed: int, device: str | None = None):
        """
        Args:
            hidden: units.
            threads: of torch in this process.
            budget_bytes: memory for weights and batches; more labels are trained one group after the other.
            seed: of the weights and the batches.
            device: Default - cuda if available, else cpu.
        """
        torch.set_num_threads(threads)
        self.hidden, self.budget_bytes, self.seed = hidden, budget_bytes, seed
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        if self.device.type == "cuda":
            self.budget_bytes = torch.cuda.mem_get_info(self.device)[0] // 4

    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Perceptron]]:
        """See :meth:`layerwise.probes.engine.ProbeEngine.fit`; with validation rows, gives the best fit alone."""
        check_classes(problems)
        found: list[list[Perceptron]] = [[] for _ in problems]
        held = torch.from_numpy(states)
        if states.nbytes <= self.budget_bytes:
            held = held.to(self.device)
        for members in self._groups(problems, states.shape[1], len(C)):
            group = _Group(self, held, [problems[member] for member in members], C)
            for member, fits in zip(members, group.train(), strict=True):
                found[member] = fits
        return found

    def _groups(self, problems: list[Problem], width: int, penalties: int) -> Iterator[list[int]]:
        """Problems of as many classes and about as many rows, as many as the memory holds."""

        def like(member: int) -> tuple[int, bool, int]:
            problem = problems[member]
            return problem.n_classes, "val" in problem.rows, len(problem.rows["train"])

        group: list[int] = []
        for member in sorted(range(len(problems)), key=like):
            # Weights, their gradient, two moments of it and the best so far; a batch and what it becomes.
            one = 4 * (5 * penalties * self.hidden * width + BATCH[1] * (width + 4 * penalties * self.hidden))
            full = (len(group) + 1) * one > self.budget_bytes
            if group and (full or like(member)[:2] != like(group[0])[:2]):
                yield group
                group = []
            group.append(member)
        if group:
            yield group


class _Group:
    """Problems that train together: axes of weights are problems, penalties, and the weights' own."""

    def __init__(self, engine: PerceptronEngine, states: Tensor, problems: list[Problem], C: list[float]):
        self.states, self.problems, self.C, self.device = states, problems, C, engine.device
        self.n_margins = 1 if problems[0].n_classes == 2 else problems[0].n_classes
        width, hidden = states.shape[1], engine.hidden
        rng = np.random.default_rng([engine.seed, width, hidden])
        # He et al. 2015, arXiv 1502.01852.
        start = [
            rng.normal(0, np.sqrt(2 / width), (width, hidden)),
            np.zeros((1, hidden)),
            rng.normal(0, np.sqrt(1 / hidden), (hidden, self.n_margins)),
            np.zeros((1, self.n_margins)),
        ]
        shape = len(problems), len(C)
        self.weights = [
            torch.tensor(part, dtype=torch.float32, device=self.device).expand(*shape, *part.shape).clone()
            for part in start
        ]
        sizes = np.array([len(problem.y["train"]) for problem in problems])
        penalties = 1 / (np.array(C)[None] * sizes[:, None])
        self.penalties = torch.tensor(penalties, dtype=torch.float32, device=self.device)
        self.rngs = [np.random.default_rng([engine.seed, size]) for size in sizes]
        self.sizes = np.clip(-(-sizes // STEPS), *BATCH).clip(max=sizes)
        self.steps = max(STEPS, int((sizes / self.sizes).max()))

    def train(self) -> list[list[Perceptron]]:
        """By problem, its best fit, or without validation rows that of each C."""
        held_out = all("val" in problem.rows and len(problem.rows["val"]) for problem in self.problems)
        for part in self.weights:
            part.requires_grad_()
        adam = torch.optim.Adam(self.weights, lr=LEARNING_RATE, fused=True)
        best = [part.detach().clone() for part in self.weights]
        lowest = torch.full((len(self.problems), len(self.C)), torch.inf)
        since = torch.zeros_like(lowest)
        for _ in range(MOST_LOOKS):
            for rows, y, shares in self._batches():
                adam.zero_grad()
                self._objective(rows, y, shares).backward()
                adam.step()
            if not held_out:
                continue
            losses = self._validation_losses()
            better = losses < lowest
            lowest = torch.where(better, losses, lowest)
            since = torch.where(better, 0, since + 1)
            for kept, part in zip(best, self.weights, strict=True):
                kept[better] = part.detach()[better]
            if (since >= PATIENCE).all():
                break
        if not held_out:
            best, since = [part.detach() for part in self.weights], torch.full_like(since, PATIENCE)
        return [
            [
                self._fit(best, place, k, bool(since[place, k] > 0))
                for k in ([int(lowest[place].argmin())] if held_out else range(len(self.C)))
            ]
            for place in range(len(self.problems))
        ]

    def _objective(self, states: Tensor, y: Tensor, shares: Tensor) -> Tensor:
        """Summed over problems and penalties, which do not share weights."""
        hidden, hidden_bias, out, out_bias = self.weights
        margins = torch.relu(self._first(states, hidden) + hidden_bias) @ out + out_bias
        losses = _losses(margins, y[:, None].expand(margins.shape[:-1]))
        squares = hidden.square().sum(dim=(-1, -2)) + out.square().sum(dim=(-1, -2))
        return (losses * shares[:, None]).sum() + (squares * self.penalties).sum() / 2

    @staticmethod
    def _first(states: Tensor, hidden: Tensor) -> Tensor:
        """One product per problem for all penalties: (J, n, d) with (J, P, d, h) to (J, P, n, h)."""
        side_by_side = hidden.transpose(1, 2).flatten(2)
        return (states @ side_by_side).unflatten(-1, (hidden.shape[1], -1)).transpose(1, 2)

    def _batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """States (J, n, d), classes (J, n), and what each row counts (J, n); shorter batches are filled up with 0."""
        orders = [
            _order(rng, len(problem.y["train"]), self.steps * size).reshape(self.steps, size)
            for rng, problem, size in zip(self.rngs, self.problems, self.sizes, strict=True)
        ]
        longest = max(self.sizes)
        for step in range(self.steps):
            rows = np.zeros((len(orders), longest), np.int64)
            y, shares = np.zeros_like(rows), np.zeros(rows.shape, np.float32)
            for place, (problem, order) in enumerate(zip(self.problems, orders, strict=True)):
                at = order[step]
                rows[place, : len(at)], y[place, : len(at)] = problem.rows["train"][at], problem.y["train"][at]
                shares[place, : len(at)] = 1 / len(at)
            yield self._states(rows), *(torch.from_numpy(part).to(self.device) for part in (y, shares))

    def _states(self, rows: np.ndarray) -> Tensor:
        index = torch.from_numpy(rows).to(self.states.device)
        return self.states[index].to(self.device)

    @torch.no_grad()
    def _validation_losses(self) -> Tensor:
        """Mean log loss by problem and penalty, shape (J, P)."""
        hidden, hidden_bias, out, out_bias = self.weights
        found = []
        for place, problem in enumerate(self.problems):
            rows, y = problem.rows["val"], torch.from_numpy(problem.y["val"]).to(self.device)
            total = torch.zeros(len(self.C), device=self.device)
            for start in range(0, len(rows), BATCH[1]):
                first = self._first(self._states(rows[None, start : start + BATCH[1]]), hidden[place : place + 1])[0]
                margins = torch.relu(first + hidden_bias[place]) @ out[place] + out_bias[place]
                losses = _losses(margins, y[start : start + BATCH[1]].expand(margins.shape[:-1]))
                total += losses.sum(dim=-1)
            found.append(total / len(rows))
        return torch.stack(found).cpu()

    def _fit(self, weights: list[Tensor], place: int, k: int, converged: bool) -> Perceptron:
        parts: list[Any] = [part[place, k].cpu().numpy().copy() for part in weights]
        return Perceptron((parts[0], parts[1][0]), (parts[2], parts[3][0]), self.C[k], converged)


def _losses(margins: Tensor, y: Tensor) -> Tensor:
    """Log loss of each row, shape (...), of margins (..., K)."""
    if margins.shape[-1] == 1:
        return binary_cross_entropy_with_logits(margins[..., 0], y.float(), reduction="none")
    return cross_entropy(margins.movedim(-1, 1), y, reduction="none")


def _order(rng: np.random.Generator, n: int, length: int) -> np.ndarray:
    """Row numbers, shape (length,): all rows in random order, again and again."""
    return np.concatenate([rng.permutation(n) for _ in range(-(-length // n))])[:length]
