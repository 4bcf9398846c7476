"""The fast sweep: what becomes of an input when the state at its last token is changed behind one block.

:mod:`layerwise.used.naive` defines it, with one forward pass of the whole model for each change. :func:`swept` gives
the same states from one free run. At the last token nothing below the changed block differs from the free run, and no
other token sees the last one. So each change runs a single token again, in the blocks above, over the keys and values
of the free run; all of them are packed in one row (:mod:`layerwise.flow.packed_runs`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from layerwise.flow.free import FreeRun
from layerwise.flow.packed_runs import packed_mask, packed_runs
from layerwise.models.memory import Room
from layerwise.used.changes import BlockChanges

# Most runs that are packed in one row. A run costs a token's pass through the blocks above, and looks at all other runs
# although their keys are masked, so on a processor a row is best about as long as the input itself. A card reads all
# weights of a block for a row of any length, and is idle between short ones, so there rows are long. Where memory does
# not hold such a row, it is halved.
RUNS_PER_ROW = {"cpu": 512, "cuda": 2048}
# Rows of masks begin at multiples of so many numbers. Otherwise a card's kernel for masked attention copies the mask.
ALIGNED = 16

# Reads something off the outputs of a block: called with its number, from 1, and states of shape (runs, width), it
# gives a tensor of shape (runs, M).
Read = Callable[[int, Tensor], Tensor]


@dataclass(frozen=True)
class Swept:
    """What changes make of an input.

    Attributes:
        top: the last block's output at the last token after each change, shape (runs, width), on its device. In the
            order of the changes.
        moved: how far each change moves the state that it changes, the largest number of the difference; shape (runs,),
            float32, on the CPU.
        above: what is read off the outputs of all blocks, shape (runs that are read, L, M), float32, on the CPU; NaN
            below the changed block. None if nothing is read.
    """

    top: Tensor
    moved: Tensor
    above: Tensor | None = None


def row_room(device: torch.device) -> Room:
    """How many runs are packed in one row on a device."""
    return Room(RUNS_PER_ROW.get(device.type, RUNS_PER_ROW["cpu"]), "changed runs of one input")


@torch.inference_mode()
def swept(run: FreeRun, changes: Sequence[BlockChanges], read: Read | None = None, room: Room | None = None) -> Swept:
    """What changes of the state at the last token make of an input.

    Args:
        run: its free run, with room for as many tokens as ``room`` has.
        changes: any, in any order; there may be several of one block.
        read: what is read off blocks above, for the changes with ``reads``. Default - nothing.
        room: how many runs are packed in one row. Default - as many as suit the device.
    """
    if not changes:
        raise ValueError("there is nothing to change")
    room = room or row_room(run.top.device)
    of_group, moved = [], []
    for group in changes:
        (state,) = output_of(run, group.block)
        states = group.states(state)
        of_group.append(states)
        moved.append((states - state).abs().amax(1).float().cpu())
    # Rows are filled from the lowest block up, so that runs that join later share the rows of those that run anyway.
    order = sorted(range(len(changes)), key=lambda i: changes[i].block)
    blocks = [changes[i].block for i in order for _ in range(len(changes[i]))]
    reads = torch.tensor([changes[i].reads for i in order for _ in range(len(changes[i]))])
    joining = {
        block: torch.cat([of_group[i] for i in order if changes[i].block == block])
        for block in sorted({group.block for group in changes})
    }
    row = _Row(run, blocks, joining, reads, read)
    top = torch.cat(room.over(len(blocks), row.chunk))
    back = _places(changes, order)
    above = None if read is None else row.above[back[reads[back]]]
    return Swept(top[back.to(top.device)], torch.cat(moved), above)


def output_of(run: FreeRun, block: int) -> Tensor:
    """The free run's output of a block, counted from 1, at the last token; shape (1, width)."""
    n_layers = len(run.calls)
    if not 1 <= block <= n_layers:
        raise ValueError(f"there is no block {block}; the model has {n_layers}")
    return (run.top if block == n_layers else run.calls[block].hidden)[:, -1]


def _places(changes: Sequence[BlockChanges], order: Sequence[int]) -> Tensor:
    """Where the runs of each group, one group after the other, are among the runs sorted by ``order``."""
    starts = dict(zip(order, accumulate((len(changes[i]) for i in order), initial=0), strict=False))
    return torch.cat([torch.arange(starts[i], starts[i] + len(group)) for i, group in enumerate(changes)])


class _Row:
    """All runs of an input, sorted by block, of which some consecutive ones run together."""

    def __init__(self, run: FreeRun, blocks: list[int], joining: dict[int, Tensor], reads: Tensor, read: Read | None):
        self.run = run
        self.blocks = blocks
        self.joining = joining
        self.starts = dict(zip(joining, accumulate(map(len, joining.values()), initial=0), strict=False))
        self.reads = reads
        self.read = read
        self.above = torch.empty(0)

    def chunk(self, start: int, stop: int) -> Tensor:
        """The last block's output in the runs from ``start`` to ``stop``, shape (runs, width)."""
        run, n_layers = self.run, len(self.run.calls)
        blocks = self.blocks[start:stop]
        # A change behind block l, counted from 1, joins before the block l, counted from 0.
        joins = [block for block in blocks if block < n_layers]
        if self.read is not None:
            self._changed(start, stop)
        parts = []
        if joins:

            def fresh(block: int, first: int, last: int) -> Tensor:
                offset = start - self.starts[block]
                return self.joining[block][None, offset + first : offset + last]

            for block, output in packed_runs(
                run, run.n_tokens - 1, joins, fresh, lambda mask: OwnMasks(mask, len(joins))
            ):
                hidden = output[0]
                if self.read is not None:
                    self._keep(block + 1, start, hidden)
            parts.append(hidden.to(run.top.device))
        if len(joins) < len(blocks):
            offset = start - self.starts[n_layers]
            parts.append(self.joining[n_layers][offset + len(joins) : offset + len(blocks)])
        return torch.cat(parts)

    def _changed(self, start: int, stop: int) -> None:
        """Read the changed states themselves, which are the outputs of the changed blocks."""
        for block, states in self.joining.items():
            first = self.starts[block]
            low, high = max(start, first), min(stop, first + len(states))
            if low < high:
                self._keep(block, low, states[low - first : high - first])

    def _keep(self, block: int, start: int, states: Tensor) -> None:
        """Read the output of a block in the runs from ``start`` on."""
        wanted = self.reads[start : start + len(states)]
        if not wanted.any():
            return
        assert self.read is not None
        found = self.read(block, states[wanted.to(states.device)]).float().cpu()
        if not len(self.above):
            self.above = torch.full((len(self.blocks), len(self.run.calls), found.shape[1]), torch.nan)
        self.above[start : start + len(states), block - 1][wanted] = found


class OwnMasks:
    """Masks of a row of single tokens: each sees what the last token of the free run saw, and itself in its place."""

    def __init__(self, mask: Tensor, runs: int):
        """Lay out the mask of all runs; each block takes a part of it.

        Args:
            mask: of the free run's last token, shape (1, all tokens).
            runs: in the row.
        """
        self.before = mask.shape[1]
        columns = -(-(self.before + runs) // ALIGNED) * ALIGNED
        self.mask = packed_mask(mask.expand(runs, 1, -1), self.before - 1, columns)

    def at(self, block: int, joined: int) -> Tensor:
        """The mask of the first ``joined`` runs, shape (1, 1, joined, all tokens + joined)."""
        return self.mask[None, None, :joined, : self.before + joined]
