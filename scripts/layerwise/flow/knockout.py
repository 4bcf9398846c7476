"""Attention knockout: the answer's probability when some positions cannot attend to others in some blocks.

As in Geva et al. 2023 (arXiv 2304.14767, section 3) and Zhang et al. 2025 (arXiv 2411.18620, section 3.2). For every
flow and window of blocks, attention from the flow's target to its source is masked in all heads of these blocks while
the prompt is read; or in single heads of some blocks.

:func:`naive_knockout` defines it, with one forward pass of the whole model for each flow and window. :func:`knockout`
gives the same numbers but runs again only what blocking changes: the positions from the flow's first target on, in the
blocks from the window's first on, over the keys and values of a free run. Windows run together, packed in one row like
prompts about one image (:mod:`layerwise.models.prefix`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import BatchFeature

from layerwise.flow.flows import Flow
from layerwise.flow.free import FreeRun, free_runs
from layerwise.flow.heads import Where, chosen, heads_of, span
from layerwise.flow.packed_runs import packed_runs
from layerwise.flow.positions import PositionSets
from layerwise.flow.row_masks import Cut, PackedMasks
from layerwise.models.attention_mask import attention_cut
from layerwise.models.frozen import AnsweringModel
from layerwise.models.head import next_token_logits
from layerwise.models.memory import Room

# At so many states at once the output head is read.
STATES_AT_ONCE = 512


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
    windows: Sequence[Where],
    answer_id: int,
    distractor_id: int | None = None,
) -> Knockouts:
    """Knockout by one forward pass of the whole model for each flow and window; :func:`knockout` must equal it.

    Args:
        model: whose attention is of the kind sdpa or eager.
        prepared: the model's inputs for one image and one prompt, a batch of one.
        sets: its positions.
        flows: the attention that is blocked.
        windows: where it is blocked: in the blocks of a window, or in some heads of some blocks; all counted from 0.
        answer_id: the answer's first token.
        distractor_id: the first token of another answer; None for none.

    Raises:
        ValueError: when a target would attend to nothing.
    """
    inputs = prepared.to(model.device, model.dtype)

    def read() -> Tensor:
        return _read(model.model(**inputs, use_cache=False).logits[0, -1].float(), answer_id, distractor_id).cpu()

    blocked, by_block = torch.empty(len(flows), len(windows), 2), heads_of(model)
    for i, flow in enumerate(flows):
        for j, window in enumerate(windows):
            blocks = [model.blocks[block] for block in window]
            with attention_cut(blocks, sets.mask(flow.target), sets.mask(flow.source), chosen(window, by_block)):
                blocked[i, j] = read()
    return _knockouts(read(), blocked, distractor_id)


def knockout(
    model: AnsweringModel,
    prepared: BatchFeature,
    sets: PositionSets,
    flows: Sequence[Flow],
    windows: Sequence[Where],
    answer_id: int,
    distractor_id: int | None = None,
) -> Knockouts:
    """The numbers of :func:`naive_knockout`, which takes the same arguments, from one free run of the question.

    Raises:
        InputError: when a token before the first target sees it.
        ValueError: when a target would attend to nothing.
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
    windows: Sequence[Where],
    answer_id: int,
    distractor_id: int | None = None,
    row: Room | None = None,
) -> Knockouts:
    """Knockouts that continue a free run, which holds every flow's targets; see :func:`knockout`.

    Args:
        run: the free run.
        sets, flows, windows, answer_id, distractor_id: see :func:`naive_knockout`.
        row: how many tokens are packed in one row. Default - as the free run says.
    """
    row = row or run.row
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
        at_once = max(1, row.size // tokens)
        room = Room(at_once, "blocked runs of one question")

        def read(first: int, stop: int, start: int = start, cuts: Sequence[Cut] = cuts) -> Tensor:
            states = run.model.final_norm(_run_cuts(run, start, cuts[first:stop]))
            # Logits of all words take more memory than what they are made from.
            some = (next_token_logits(run.model, part) for part in states.split(STATES_AT_ONCE))
            return torch.cat([_read(logits, answer_id, distractor_id).cpu() for logits in some])

        found = torch.cat(room.over(len(rows), read))
        if room.size < at_once:
            row.size = room.size * tokens
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


def _by_first_block(windows: Sequence[Where]) -> list[int]:
    """Windows by their first block, so that windows that run together begin at about the same block."""
    return sorted(range(len(windows)), key=lambda j: min(windows[j]))


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

    joins = [span(cut.where)[0] for cut in cuts]
    heads = heads_of(run.model)
    for _, output in packed_runs(run, start, joins, fresh, lambda mask: PackedMasks(mask, start, cuts, heads)):
        hidden = output
    return hidden[0, tokens - 1 :: tokens]
