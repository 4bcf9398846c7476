"""Fits all labels of a layer together, on a GPU if there is one, along a path of C that ends early."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from layerwise.probes.fits import Fit, check_classes, log_loss
from layerwise.probes.logistic.design_matrices import HeldRows, OwnDesign, Rows, SharedDesign, mean_of
from layerwise.probes.logistic.loss import LogLoss
from layerwise.probes.logistic.solver import Design, Solution, blank, extrapolate, solve
from layerwise.probes.logistic.spectrum import Basis, Spectrum, sketched, whole
from layerwise.probes.problems import Problem

# Up to here an eigendecomposition costs less than the iterations that it saves.
SMALL = 1024
# Problems share a design if each uses at least this share of its rows, on average. Otherwise a product per problem
# with its own rows is cheaper than one for all with rows that most do not use.
LEAST_USED = 1 / 8
# Fits solved at once. More would take more memory and be no faster.
MOST_FITS = 512
# Margins whose loss is computed at once, in float64.
HELD_OUT_NUMBERS = 2**22
# Numbers that the solver holds per fit and row: margins, probabilities, labels, weights, steps and temporaries.
PER_FIT_AND_ROW = 12


@dataclass
class _Batch:
    """Problems that are solved together.

    Attributes:
        members: which of the problems, J of them.
        design: their training rows.
        loss: their training labels.
        sizes: numbers of training rows, shape (J,).
        width: of the coordinates that they are solved in.
        means: by problem, what was subtracted from the states, shape (d,).
        axes: by problem, the coordinates' axes, shape (d, width) at most, or None if they are the states' own.
        held_out: the validation rows.
    """

    members: list[int]
    design: Design
    loss: LogLoss
    sizes: Tensor
    width: int
    means: list[np.ndarray]
    axes: list[Tensor | None]
    held_out: "_SharedHeldOut | _OwnHeldOut"


class _SharedHeldOut:
    """Validation rows of problems that share a design."""

    def __init__(self, rows: Rows | HeldRows, places: list[np.ndarray], y: list[np.ndarray], device: torch.device):
        """
        Args:
            rows: of all problems.
            places: by problem, its rows' places among ``rows``; none for a problem without validation rows.
            y: by problem, their classes.
            device: of ``rows``.
        """
        self._rows = rows
        self._n = torch.tensor([len(one) for one in places])
        self._places, self._y = (_padded(parts).to(device) for parts in (places, y))

    def losses(self, parameters: Tensor, fits: np.ndarray) -> list[float]:
        """Mean log loss by fit, for parameters of shape (J', K, r + 1); NaN for a fit without validation rows."""
        weights = parameters[..., :-1]
        margins = self._rows.times(weights.flatten(0, 1)).unflatten(0, weights.shape[:2]) + parameters[..., -1:]
        of = torch.from_numpy(fits)
        n, of = self._n[of].to(margins.device), of.to(margins.device)
        at_once = max(1, HELD_OUT_NUMBERS // max(1, self._places.shape[1] * margins.shape[1]))
        parts = [
            _mean_log_loss(margins[part], self._places[of[part]].long(), self._y[of[part]].long(), n[part])
            for part in (slice(i, i + at_once) for i in range(0, len(fits), at_once))
        ]
        return torch.cat(parts).tolist()


class _OwnHeldOut:
    """Validation rows of problems with rows of their own, in each problem's coordinates."""

    def __init__(self, rows: list[Tensor], y: list[np.ndarray]):
        self._rows, self._y = rows, y

    def losses(self, parameters: Tensor, fits: np.ndarray) -> list[float]:
        """See :meth:`_SharedHeldOut.losses`."""
        found = []
        for of_fit, fit in zip(parameters, fits, strict=True):
            rows, y = self._rows[fit], self._y[fit]
            margins = rows @ of_fit[:, : rows.shape[1]].T + of_fit[:, -1]
            found.append(log_loss(margins.cpu().numpy(), y) if len(y) else math.nan)
        return found


def _padded(parts: list[np.ndarray]) -> Tensor:
    """Whole numbers as one array, shape (parts, longest), padded with 0; int32, because there may be very many."""
    padded = np.zeros((len(parts), max(map(len, parts))), dtype=np.int32)
    for row, part in zip(padded, parts, strict=True):
        row[: len(part)] = part
    return torch.from_numpy(padded)


def _mean_log_loss(margins: Tensor, places: Tensor, y: Tensor, n: Tensor) -> Tensor:
    """What :func:`layerwise.probes.fits.log_loss` is on the rows at some places, for J fits; shape (J,), float64.

    Args:
        margins: of all rows, shape (J, K, rows).
        places: of the rows that count, shape (J, m).
        y: their classes, shape (J, m).
        n: how many of the m count, the first ones; shape (J,).
    """
    own = margins.gather(2, places[:, None].expand(-1, margins.shape[1], -1)).double()
    if own.shape[1] == 1:
        own = torch.cat([torch.zeros_like(own), own], dim=1)
    loss = torch.logsumexp(own, dim=1) - own.gather(1, y[:, None])[:, 0]
    counts = torch.arange(loss.shape[1], device=n.device) < n[:, None]
    return (loss * counts).sum(1) / n


class TorchEngine:
    """scikit-learn's objective for all problems and C together, in float32 on states centred in float64.

    A fit has converged when its predicted excess over the minimum is at most ``tolerance`` of its value, and of what
    its weights gain over none (:func:`layerwise.probes.logistic.solver.solve`). C is walked upwards, each fit starting
    where the path points. A path ends when the validation loss has risen twice in a row, because
    :func:`layerwise.probes.fits.choose` would hardly ever take what follows.

    Attributes:
        products: pairs of matrix products so far, summed over fits; the measure of work.
    """

    def __init__(
        self,
        threads: int | None = None,
        tolerance: float = 1e-6,
        early_end: bool = True,
        host_budget_bytes: int = 4 * 2**30,
        device: str | None = None,
    ):
        """
        Args:
            threads: of torch in this process. Default - unchanged.
            tolerance: relative excess of the objective.
            early_end: whether to end a path when its validation loss rises.
            host_budget_bytes: how much memory training rows may take on the CPU, and validation rows, and what the
                solver holds per row, each. Rows beyond it are read block by block in every iteration; fits beyond it
                are solved one after the other. On a GPU the budget is a quarter of its free memory.
            device: Default - cuda if available, else cpu.
        """
        if threads is not None:
            torch.set_num_threads(threads)
        self.tolerance, self.early_end = tolerance, early_end
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        on_card = self.device.type == "cuda"
        self.budget_bytes = torch.cuda.mem_get_info(self.device)[0] // 4 if on_card else host_budget_bytes
        self.products = 0.0

    @torch.inference_mode()
    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Fit]]:
        """See :meth:`layerwise.probes.engine.ProbeEngine.fit`."""
        check_classes(problems)
        paths: list[list[Fit]] = [[] for _ in problems]
        for batch in self._batches(states, problems):
            for member, path in zip(batch.members, self._paths(batch, C), strict=True):
                paths[member] = path
        return paths

    def _paths(self, batch: _Batch, C: list[float]) -> list[list[Fit]]:
        paths: list[list[Fit]] = [[] for _ in batch.members]
        losses: list[list[float]] = [[] for _ in batch.members]
        design, loss, alive = batch.design, batch.loss, np.arange(len(batch.members))
        before: Solution | None = None
        now = blank(loss, batch.width)
        for strength in C:
            penalty = 1 / (strength * batch.sizes[torch.from_numpy(alive).to(self.device)])
            start = now if before is None else extrapolate(loss, now, before, penalty)
            before, now = now, solve(design, loss, penalty, start, self.tolerance)
            self.products += now.products
            for fit, made in zip(alive.tolist(), self._fits(batch, alive, now, strength), strict=True):
                paths[fit].append(made)
            ended = np.zeros(len(alive), dtype=bool)
            if self.early_end:
                held_out = batch.held_out.losses(now.parameters, alive)
                for place, (fit, of_fit) in enumerate(zip(alive.tolist(), held_out, strict=True)):
                    losses[fit].append(of_fit)
                    ended[place] = _rose_twice(losses[fit])
            if ended.all():
                break
            if ended.any():
                alive, keep = alive[~ended], torch.from_numpy(np.flatnonzero(~ended)).to(self.device)
                design, loss, before, now = design.take(keep), loss.take(keep), before.take(keep), now.take(keep)
        return paths

    def _fits(self, batch: _Batch, alive: np.ndarray, found: Solution, strength: float) -> Iterator[Fit]:
        """The fits of a solution in the states' own coordinates."""
        # Of all in one copy, because the host waits for each.
        parameters, converged = found.parameters.cpu(), found.converged.tolist()
        for place, fit in enumerate(alive.tolist()):
            axes = batch.axes[fit]
            if axes is None:
                coefficients = parameters[place, :, :-1].numpy().copy()
            else:
                weights = found.parameters[place, :, :-1]
                coefficients = (weights[:, : axes.shape[1]] @ axes.T).cpu().numpy().copy()
            intercepts = parameters[place, :, -1].double().numpy() - coefficients @ batch.means[fit]
            yield Fit(coefficients, intercepts, strength, converged[place])

    def _batches(self, states: np.ndarray, problems: list[Problem]) -> Iterator[_Batch]:
        """Divide the problems by number of classes and by whether they share rows."""
        for n_classes in sorted({problem.n_classes for problem in problems}):
            members = [place for place, problem in enumerate(problems) if problem.n_classes == n_classes]
            rows = [problems[member].rows["train"] for member in members]
            union = _union_of(rows)
            if sum(map(len, rows)) >= LEAST_USED * len(union) * len(members):
                yield from self._shared(states, problems, members)
                continue
            small = [min(len(index), states.shape[1]) <= SMALL for index in rows]
            yield from self._own(states, problems, [m for m, fits in zip(members, small, strict=True) if fits])
            for member, fits in zip(members, small, strict=True):
                if not fits:
                    yield from self._shared(states, problems, [member])

    def _shared(self, states: np.ndarray, problems: list[Problem], members: list[int]) -> Iterator[_Batch]:
        union, train_places = _union([problems[member].rows["train"] for member in members])
        held_out = _union_of([_validation(problems[member]) for member in members])
        mean, width = mean_of(states, union, self.device), states.shape[1]
        held_out_rows = Rows(states, held_out, mean, self.device, self.budget_bytes)
        rows: Rows | HeldRows
        validation: Rows | HeldRows = held_out_rows
        axes = None
        if len(union) < width and len(union) <= SMALL:
            basis = Basis(states[union] - mean, self.device)
            rows, spectrum, axes = HeldRows(basis.rows), Spectrum(None, basis.values), basis.axes
            validation = HeldRows(torch.cat([block @ axes for _, block in held_out_rows.blocks()]))
        else:
            rows = training_rows = Rows(states, union, mean, self.device, self.budget_bytes)
            spectrum = (whole if width <= SMALL else sketched)(training_rows.blocks, len(union), width, self.device)
        design = SharedDesign(rows, spectrum)
        n_margins = 1 if problems[members[0]].n_classes == 2 else problems[members[0]].n_classes
        per_fit = 4 * PER_FIT_AND_ROW * n_margins * len(union)
        at_once = int(min(MOST_FITS, max(1, self.budget_bytes // per_fit)))
        for start in range(0, len(members), at_once):
            part = members[start : start + at_once]
            own = [problems[member] for member in part]
            loss, sizes = self._loss(own, train_places[start : start + at_once], len(union))
            places = [np.searchsorted(held_out, _validation(problem)) for problem in own]
            solved_in = width if axes is None else axes.shape[1]
            yield _Batch(
                part,
                design,
                loss,
                sizes,
                solved_in,
                [mean] * len(part),
                [axes] * len(part),
                _SharedHeldOut(validation, places, [_held_out_classes(problem) for problem in own], self.device),
            )

    def _own(self, states: np.ndarray, problems: list[Problem], members: list[int]) -> Iterator[_Batch]:
        if not members:
            return
        # In order of size, so that padding to equal shapes adds little.
        members = sorted(members, key=lambda member: len(problems[member].rows["train"]))
        width = states.shape[1]
        longest = max(len(problems[member].rows["train"]) for member in members)
        most_held_out = max(len(_validation(problems[member])) for member in members)
        one = 4 * (longest + most_held_out + width) * min(longest, width)
        at_once = int(min(MOST_FITS, max(1, self.budget_bytes // one)))
        for start in range(0, len(members), at_once):
            part = members[start : start + at_once]
            own = [problems[member] for member in part]
            means = [mean_of(states, problem.rows["train"], self.device) for problem in own]
            bases = self._bases(states, own, means)
            n, solved_in = max(len(b.rows) for b in bases), max(b.rows.shape[1] for b in bases)
            rows = torch.zeros(len(own), n, solved_in, device=self.device)
            values = torch.zeros(len(own), solved_in, device=self.device)
            for fit, basis in enumerate(bases):
                rows[fit, : basis.rows.shape[0], : basis.rows.shape[1]] = basis.rows
                values[fit, : len(basis.values)] = basis.values
            loss, sizes = self._loss(own, [np.arange(len(problem.rows["train"])) for problem in own], n)
            held_out = [
                torch.from_numpy((states[_validation(problem)] - mean).astype(np.float32)).to(self.device) @ basis.axes
                for problem, mean, basis in zip(own, means, bases, strict=True)
            ]
            axes = [basis.axes for basis in bases]
            validation = _OwnHeldOut(held_out, [_held_out_classes(problem) for problem in own])
            yield _Batch(part, OwnDesign(rows, values), loss, sizes, solved_in, means, axes, validation)

    def _bases(self, states: np.ndarray, problems: list[Problem], means: list[np.ndarray]) -> list[Basis]:
        """Problems with the same rows - a task and its controls - have one basis."""
        found: dict[bytes, Basis] = {}
        bases = []
        for problem, mean in zip(problems, means, strict=True):
            key = problem.rows["train"].tobytes()
            if key not in found:
                found[key] = Basis(states[problem.rows["train"]] - mean, self.device)
            bases.append(found[key])
        return bases

    def _loss(self, problems: list[Problem], places: list[np.ndarray], n: int) -> tuple[LogLoss, Tensor]:
        """The problems' loss over n rows, of which each has those at ``places``, and their numbers of items."""
        n_margins = 1 if problems[0].n_classes == 2 else problems[0].n_classes
        y = np.zeros((len(problems), n_margins, n), dtype=np.float32)
        shares = np.zeros((len(problems), 1, n), dtype=np.float32)
        counted = [0] * len(problems)
        for fit, (problem, at) in enumerate(zip(problems, places, strict=True)):
            if n_margins == 1:
                y[fit, 0, at] = problem.y["train"]
            else:
                y[fit, problem.y["train"], at] = 1
            counted[fit] = len(at) if problem.counts is None else problem.counts.sum()
            shares[fit, 0, at] = (1 if problem.counts is None else problem.counts) / counted[fit]
        sizes = torch.tensor(counted, dtype=torch.float32, device=self.device)
        return LogLoss(torch.from_numpy(y).to(self.device), torch.from_numpy(shares).to(self.device)), sizes


def _union(rows: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The union of all problems' rows, and by problem its rows' places in it.

    Items that read the same, such as texts without their images, share a row of the states, but each has its own label.
    So the union has a row as often as the problem that has it most often.
    """
    rows, which = _distinct(rows)
    repeat = [pd.Series(index).groupby(index).cumcount().to_numpy() for index in rows]
    most = 1 + max(map(np.max, repeat))
    keys = [index * most + nth for index, nth in zip(rows, repeat, strict=True)]
    union = np.unique(np.concatenate(keys))
    places = [np.searchsorted(union, key) for key in keys]
    return union // most, [places[i] for i in which]


def _union_of(rows: list[np.ndarray]) -> np.ndarray:
    """All rows that occur, ascending."""
    return np.unique(np.concatenate(_distinct(rows)[0]))


def _distinct(rows: list[np.ndarray]) -> tuple[list[np.ndarray], list[int]]:
    """The different ones of problems' rows, of which there are few, and for each problem which of them it has."""
    found: dict[bytes, int] = {}
    which = [found.setdefault(index.tobytes(), len(found)) for index in rows]
    return [rows[which.index(i)] for i in range(len(found))], which


def _validation(problem: Problem) -> np.ndarray:
    return problem.rows.get("val", np.empty(0, dtype=np.int64))


def _held_out_classes(problem: Problem) -> np.ndarray:
    return problem.y.get("val", np.empty(0, dtype=np.int64))


def _rose_twice(losses: list[float]) -> bool:
    return len(losses) > 2 and losses[-3] < losses[-2] < losses[-1]
