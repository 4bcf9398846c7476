"""Attention knockout: the answer's probability when some positions cannot attend to others in some blocks.

As in Geva et al. 2023 (arXiv 2304.14767, section 3) and Zhang et al. 2025 (arXiv 2411.18620, section 3.2). For every
flow and window of blocks, attention from the flow's target to its source is masked in all heads of these blocks while
the prompt is read.

:func:`naive_knockout` defines it, with one forward pass of the whole model for each flow and window. :func:`knockout`
gives the same numbers but runs again only what blocking changes: the positions from the flow's first target on, in the
blocks from the window's first on, over the keys and values of a free run. Windows run together, packed in one row like
prompts about one image (:mod:`layerwise.models.prefix`).
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor
from transformers import BatchFeature

from layerwise.flow.flows import Flow
from layerwise.flow.free import FreeRun, free_runs
from layerwise.flow.packed_runs import own_columns, packed_mask, packed_runs
from layerwise.flow.positions import PositionSets
from layerwise.models.attention_mask import attention_cut, without_pairs
from layerwise.models.frozen import AnsweringModel
from layerwise.models.head import next_token_logits
from layerwise.models.memory import Room


@dataclass(frozen=True)
class Knockouts:
    """The probability of one answer's first token at the last position, and how far its logit is above a distractor's.

    Attributes:
        free: the probability with nothing blocked.
        blocked: by flow and window, shape (flows, windows); float32, on the CPU. It is ``free`` where blocking a flow
            changes nothing (a question that asks for no object).
        free_difference: the difference of the logits with nothing blocked; NaN without a distractor.
        differences: by flow and window, as ``blocked``; None without a distractor.
    """

    free: float
    blocked: Tensor
    free_difference: float = math.nan
    differences: Tensor | None = None


@torch.inference_mode()
def naive_knockout(
    model: AnsweringModel,
    prepared: BatchFeature,
    sets: PositionSets,
    flows: Sequence[Flow],
    windows: Sequence[range],
    answer_id: int,
    distractor_id: int | None = None,
) -> Knockouts:
    """Knockout by one forward pass of the whole model for each flow and window; :func:`knockout` must equal it.

    Args:
        model: whose attention is of the kind sdpa or eager.
        prepared: the model's inputs for one image and one prompt, a batch of one.
        sets: its positions.
        flows: the attention that is blocked.
        windows: the blocks in which it is blocked, counted from 0.
        answer_id: the answer's first token.
        distractor_id: the first token of another answer; None for none.

    Raises:
        ValueError: when a target would attend to nothing.
    """
    inputs = prepared.to(model.device, model.dtype)

    def read() -> Tensor:
        return _read(model.model(**inputs, use_cache=False).logits[0, -1].float(), answer_id, distractor_id).cpu()

    blocked = torch.empty(len(flows), len(windows), 2)
    for i, flow in enumerate(flows):
        for j, window in enumerate(windows):
            blocks = [model.blocks[block] for block in window]
            with attention_cut(blocks, sets.mask(flow.target), sets.mask(flow.source)):
                blocked[i, j] = read()
    return _knockouts(read(), blocked, distractor_id)


def knockout(
    model: AnsweringModel,
    prepared: BatchFeature,
    sets: PositionSets,
    flows: Sequence[Flow],
    windows: Sequence[range],
    answer_id: int,
    distractor_id: int | None = None,
) -> Knockouts:
    """The numbers of :func:`naive_knockout`, which takes the same arguments, from one free run of the question.

    Raises:
        ValueError: when a target lies in the image or before it, or would attend to nothing.
    """
    (run,) = free_runs(model, [prepared], [first_target(sets, flows)])
    return blocked_runs(run, sets, flows, windows, answer_id, distractor_id)


def first_target(sets: PositionSets, flows: Sequence[Flow]) -> int:
    """The first position at which blocking any of these flows changes anything."""
    return min(int(sets[flow.target][0]) for flow in flows if len(sets[flow.target]))


@torch.inference_mode()
def blocked_runs(
    run: FreeRun,
    sets: PositionSets,
    flows: Sequence[Flow],
    windows: Sequence[range],
    answer_id: int,
    distractor_id: int | None = None,
) -> Knockouts:
    """Knockouts that continue a free run, which holds every flow's targets; see :func:`knockout`."""
    free = _read(run.logits, answer_id, distractor_id)
    blocked = free.repeat(len(flows), len(windows), 1)
    by_start: dict[int, list[int]] = {}
    for i, flow in enumerate(flows):
        if sets.has(flow):
            by_start.setdefault(first_target(sets, [flow]), []).append(i)
    device = run.top.device
    for start, of_start in by_start.items():
        pairs = {i: _pairs(sets, flows[i], start).to(device) for i in of_start}
        rows = [(i, j) for j in _by_first_block(windows) for i in of_start]
        cuts = [Cut(pairs[i], windows[j]) for i, j in rows]
        tokens = run.n_tokens - start
        at_once = max(1, run.row.size // tokens)
        room = Room(at_once, "blocked runs of one question")

        def read(first: int, stop: int, start: int = start, cuts: Sequence[Cut] = cuts) -> Tensor:
            states = run.model.final_norm(_run_cuts(run, start, cuts[first:stop]))
            return _read(next_token_logits(run.model, states), answer_id, distractor_id).cpu()

        found = torch.cat(room.over(len(rows), read))
        if room.size < at_once:
            run.row.size = room.size * tokens
        blocked[[i for i, _ in rows], [j for _, j in rows]] = found
    return _knockouts(free, blocked, distractor_id)


def _read(logits: Tensor, answer_id: int, distractor_id: int | None) -> Tensor:
    """The answer's probability and the difference of its logit from the distractor's; logits: (..., vocabulary)."""
    difference = logits[..., answer_id] - logits[..., distractor_id] if distractor_id is not None else math.nan
    found = torch.full((*logits.shape[:-1], 2), torch.nan, device=logits.device)
    found[..., 0], found[..., 1] = logits.softmax(-1)[..., answer_id], difference
    return found


def _knockouts(free: Tensor, blocked: Tensor, distractor_id: int | None) -> Knockouts:
    """From what :func:`_read` gives of the free run and of all others."""
    differences = None if distractor_id is None else blocked[..., 1]
    return Knockouts(float(free[0]), blocked[..., 0], float(free[1]), differences)


@dataclass(frozen=True)
class Cut:
    """One blocked run.

    Attributes:
        pairs: true where a token (row) may not attend to another (column), shape (tokens from some start on, all
            tokens).
        window: the blocks in which it may not.
    """

    pairs: Tensor
    window: range


def _by_first_block(windows: Sequence[range]) -> list[int]:
    """Windows by their first block, so that windows that run together begin at about the same block."""
    return sorted(range(len(windows)), key=lambda j: windows[j][0])


def _pairs(sets: PositionSets, flow: Flow, start: int) -> Tensor:
    return sets.mask(flow.target)[0, start:, None] & sets.mask(flow.source)[0]


def _run_cuts(run: FreeRun, start: int, cuts: Sequence[Cut]) -> Tensor:
    """The last block's output at the last position in each of these blocked runs, shape (runs, width).

    A run joins the row at the first block in which it is cut, with the free run's states. So ``cuts`` must be sorted by
    their first block.
    """
    tokens = run.n_tokens - start

    def fresh(block: int, first: int, stop: int) -> Tensor:
        return run.calls[block].hidden[:, -tokens:].repeat(1, stop - first, 1)

    joins = [cut.window[0] for cut in cuts]
    for _, output in packed_runs(run, start, joins, fresh, lambda mask: PackedMasks(mask, start, cuts)):
        hidden = output
    return hidden[0, tokens - 1 :: tokens]


class PackedMasks:
    """Masks of packed runs: a token sees the free run's tokens before the start, and those of its own run.

    Each run joins the row in the first block of its window. So all are cut at first, and what their windows leave
    behind is freed from block to block.
    """

    def __init__(self, mask: Tensor, start: int, cuts: Sequence[Cut]):
        """Lay out the masks of all runs; each block takes a part of them.

        Args:
            mask: of the tokens from ``start`` on in the free run, shape (tokens, all tokens).
            start: the first token that is run again.
            cuts: the runs.
        """
        self._free, self._start, self._runs = mask, start, len(cuts)
        self.tokens, self.before = mask.shape
        pairs = torch.stack([cut.pairs for cut in cuts])[:, None].to(mask.device)
        cut = without_pairs(mask[None, None].expand(len(cuts), -1, -1, -1), pairs, mask.dtype)
        self._mask = packed_mask(cut[:, 0], start)
        # The first block behind each window, and its run.
        self._ends = deque(sorted((cut.window[-1] + 1, run) for run, cut in enumerate(cuts)))

    def at(self, block: int, joined: int) -> Tensor:
        """The mask of the first ``joined`` runs in a block, shape (1, 1, tokens, all tokens + tokens).

        It is changed when a later block is asked for; no earlier one may be.
        """
        ended = []
        while self._ends and self._ends[0][0] <= block:
            ended.append(self._ends.popleft()[1])
        for first, stop in _ranges(sorted(ended)):
            of_runs = self._mask[first * self.tokens : stop * self.tokens, : self._start]
            of_runs.unflatten(0, (stop - first, self.tokens))[:] = self._free[:, : self._start]
            own_columns(self._mask, self._runs)[..., first:stop] = self._free[:, self._start :, None]
        rows = joined * self.tokens
        return self._mask[None, None, :rows, : self.before + rows]


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Consecutive numbers among rising ones, as (first, after the last)."""
    for _, some in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        consecutive = [number for _, number in some]
        yield consecutive[0], consecutive[-1] + 1
