"""The masks of blocked runs that are packed in one row."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from layerwise.flow.heads import Heads, Where, span
from layerwise.flow.packed_runs import own_columns, packed_mask
from layerwise.models.attention_mask import aligned_rows, without_pairs


@dataclass(frozen=True)
class Cut:
    """One blocked run.

    Attributes:
        pairs: true where a token (row) may not attend to another (column), shape (tokens from some start on, all
            tokens).
        where: the blocks in which it may not, or the heads of some blocks.
    """

    pairs: Tensor
    where: Where

    @property
    def heads(self) -> Heads | None:
        """The heads that are cut, by block; None for all heads of all blocks."""
        return None if isinstance(self.where, range) else self.where


class PackedMasks:
    """Masks of packed runs: a token sees the free run's tokens before the start, and those of its own run.

    Each run joins the row in the first block in which it is cut. So runs that are cut in all heads are cut at first,
    and what their windows leave behind is freed from block to block. Runs that are cut in some heads are free, except
    in their blocks, where the row's mask has a dimension of heads.
    """

    def __init__(self, mask: Tensor, start: int, cuts: Sequence[Cut], heads: Sequence[int]):
        """Lay out the masks of all runs; each block takes a part of them.

        Args:
            mask: of the tokens from ``start`` on in the free run, shape (tokens, all tokens).
            start: the first token that is run again.
            cuts: the runs.
            heads: how many each block has.
        """
        self._free, self._start, self._runs = mask, start, len(cuts)
        self.tokens, self.before = mask.shape
        pairs = torch.stack([cut.pairs for cut in cuts])[:, None].to(mask.device)
        cut = without_pairs(mask[None, None].expand(len(cuts), -1, -1, -1), pairs, mask.dtype)
        for first, stop in _ranges([run for run, one in enumerate(cuts) if one.heads]):
            cut[first:stop] = mask
        self._mask = packed_mask(cut[:, 0], start)
        # The first block behind each window, and its run.
        whole = [(span(one.where)[-1] + 1, run) for run, one in enumerate(cuts) if not one.heads]
        self._ends = deque(sorted(whole))
        self._pairs, self._heads = pairs[:, 0], heads
        # By block the runs and heads that are cut in it.
        self._in_heads: dict[int, list[tuple[int, int]]] = {}
        for run, one in enumerate(cuts):
            for block, of_block in (one.heads or {}).items():
                self._in_heads.setdefault(block, []).extend((run, head) for head in of_block)

    def at(self, block: int, joined: int) -> Tensor:
        """The mask of the first ``joined`` runs in a block, shape (1, 1 or heads, tokens, all tokens + tokens).

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
        mask = self._mask[None, None, :rows, : self.before + rows]
        return mask if block not in self._in_heads else self._by_head(mask, block, joined)

    def _by_head(self, mask: Tensor, block: int, joined: int) -> Tensor:
        """A mask of the first ``joined`` runs for each head of a block."""
        n_heads, rows = self._heads[block], joined * self.tokens
        by_head = aligned_rows(mask, n_heads, rows, mask.shape[-1]).copy_(mask[0].expand(n_heads, -1, -1))
        runs, heads = torch.tensor(self._in_heads[block], device=mask.device).T
        pairs, least = self._pairs[runs], torch.finfo(mask.dtype).min
        earlier = by_head[..., : self._start].unflatten(1, (joined, self.tokens))
        earlier[heads, runs] = earlier[heads, runs].masked_fill(pairs[..., : self._start], least)
        own = by_head[..., self.before :].unflatten(1, (joined, self.tokens)).unflatten(-1, (joined, self.tokens))
        own[heads, runs, :, runs] = own[heads, runs, :, runs].masked_fill(pairs[..., self._start :], least)
        return by_head[None]


def _ranges(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Consecutive numbers among rising ones, as (first, after the last)."""
    for _, some in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        consecutive = [number for _, number in some]
        yield consecutive[0], consecutive[-1] + 1
