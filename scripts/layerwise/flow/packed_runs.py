"""Runs that continue a free run, packed in one row after its tokens.

Each run is the free one up to some block, where it joins the row with states of its own; from there on it runs again,
at the tokens from some start on. All runs use the free run's keys and values of the tokens before the start.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from layerwise.flow.block_calls import per_token
from layerwise.flow.free import FreeRun
from layerwise.flow.shared_keys import ARGUMENT, SharedKeys
from layerwise.models.attention_mask import aligned_rows
from layerwise.models.frozen import hidden_out
from layerwise.models.prefix.cache import set_length


class RowMasks(Protocol):
    """The masks of a row in the blocks of one kind."""

    def at(self, block: int, joined: int) -> Tensor:
        """The mask of the first ``joined`` runs in a block, shape (1, 1 or heads, tokens, all tokens + tokens)."""
        ...


def packed_runs(
    run: FreeRun,
    start: int,
    joins: Sequence[int],
    fresh: Callable[[int, int, int], Tensor],
    masks_of: Callable[[Tensor], RowMasks],
) -> Iterator[tuple[int, Tensor]]:
    """Run a row block by block.

    Args:
        run: the free run. Use it for one row at a time: all rows write their keys and values to the same room.
        start: the first token that is run again.
        joins: the block, counted from 0, before which each run joins; rising.
        fresh: the states with which runs join, called as ``fresh(block, first, stop)`` for the runs from ``first`` to
            ``stop``; shape (1, their tokens, width).
        masks_of: makes the row's masks from that of the tokens from ``start`` on in the free run, shape (tokens, all
            tokens).

    Yields:
        Each block from the first that a run joins at, counted from 0, and its output for all runs that have joined,
        shape (1, their tokens, width).
    """
    tokens = run.n_tokens - start
    set_length(run.prefix, run.n_tokens)
    masks: dict[int, RowMasks] = {}
    shared = SharedKeys(run, start)
    repeated = _Repeated(run.top.shape[1], tokens, len(joins))
    hidden, present = run.top[:, :0], 0
    for block, (module, call) in enumerate(zip(run.model.blocks, run.calls, strict=True)):
        joined = bisect_right(joins, block)
        if not joined:
            continue
        hidden = hidden.to(call.hidden.device)
        if call.added is not None and present:
            # Added to states of the decoder's precision, as the decoder does.
            added = call.added[:, -tokens:].to(hidden.dtype).repeat(1, present, 1)
            hidden = hidden + added
        if joined > present:
            hidden = torch.cat([hidden, fresh(block, present, joined).to(hidden.device)], dim=1)
            present = joined
        # All blocks of one kind share a mask.
        kind = call.mask.data_ptr()
        if kind not in masks:
            masks[kind] = masks_of(call.mask[-tokens:])
        shared.before(block, joined)
        more = {key: repeated.first(value, joined) for key, value in call.more.items()}
        if ARGUMENT in more:
            more[ARGUMENT] = shared.passed
        output = module(
            hidden,
            attention_mask=masks[kind].at(block, joined),
            past_key_values=run.prefix,
            use_cache=True,
            **more,
        )
        hidden = hidden_out(output)
        yield block, hidden


def packed_mask(masks: Tensor, start: int) -> Tensor:
    """Masks of single runs as one mask of their row: a token sees the free run's tokens before the start, and its own
    run's.

    Args:
        masks: of the runs' tokens, as numbers added to the scores; shape (runs, tokens, all tokens).
        start: the first token that is run again.

    Returns:
        Shape (runs * tokens, all tokens + runs * tokens), in memory aligned for kernels.
    """
    runs, tokens, before = masks.shape
    width = before + runs * tokens
    packed = aligned_rows(masks, runs * tokens, width).fill_(torch.finfo(masks.dtype).min)
    packed[:, :start] = masks[..., :start].flatten(0, 1)
    own_columns(packed, runs).copy_(masks[..., start:].permute(1, 2, 0))
    return packed


def own_columns(packed: Tensor, runs: int) -> Tensor:
    """A view of where a row's mask says what each run's tokens see of their own run, shape (tokens, tokens, runs)."""
    tokens = len(packed) // runs
    of_runs = packed[:, packed.shape[1] - len(packed) :]
    return of_runs.unflatten(0, (runs, tokens)).unflatten(-1, (runs, tokens)).diagonal(dim1=0, dim2=2)


class _Repeated:
    """Blocks' arguments for a row: those of the free run's last tokens, repeated for each run.

    Blocks are given the same tensors, such as sines and cosines of positions. So each is repeated once, for all runs,
    and blocks take the part of the runs that have joined.
    """

    def __init__(self, given: int, tokens: int, runs: int):
        """
        Args:
            given: tokens of an argument.
            tokens: the last of them that each run has.
            runs: in the row.
        """
        self._given, self._tokens, self._runs = given, tokens, runs
        self._known: dict[tuple[Any, ...], Tensor] = {}

    def first(self, value: Any, runs: int) -> Any:
        """A block's argument for the first ``runs``."""
        return per_token(value, self._given, lambda part, dim: self._of(part, dim).narrow(dim, 0, runs * self._tokens))

    def _of(self, part: Tensor, dim: int) -> Tensor:
        # The free run holds them all, so that no other tensor comes to lie in the same place.
        key = part.data_ptr(), part.device, part.dtype, part.shape, part.stride()
        if key not in self._known:
            own = part.narrow(dim, self._given - self._tokens, self._tokens)
            times = [self._runs if place == dim % own.dim() else 1 for place in range(own.dim())]
            self._known[key] = own.repeat(times)
        return self._known[key]
