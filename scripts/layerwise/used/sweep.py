"""The fast sweep: what becomes of an input when the state at its last token is changed behind one block.

:mod:`layerwise.used.naive` defines it, with one forward pass of the whole model for each change. :func:`swept` gives
the same states from one free run. At the last token nothing below the changed block differs from the free run, and no
other token sees the last one. So each change runs a single token again, in the blocks above, over the keys and values
of the free run; all of them are packed in one row (:mod:`layerwise.flow.packed_runs`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from layerwise.flow.free import FreeRun, Wanted
from layerwise.flow.packed_runs import packed_mask, packed_runs
from layerwise.models.memory import Room
from layerwise.used.changes import Changes

# The sweep in the words of a refusal.
SWEEP = Wanted("whether a concept is used", "changed runs", blocks=False, advice="leave it out of `used.models`")
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
def swept(run: FreeRun, changes: Sequence[Changes], read: Read | None = None, room: Room | None = None) -> Swept:
    """What changes of the state at the last token make of an input.

    Args:
        run: its free run, with room for as many tokens as ``room`` has.
        changes: any, in any order.
        read: what is read off blocks above, for the changes that say so. Default - nothing.
        room: how many runs are packed in one row. Default - as many as suit the device.
    """
    room = room or row_room(run.top.device)
    n_layers = len(run.calls)
    blocks = torch.cat([group.blocks for group in changes])
    if bad := blocks[(blocks < 1) | (blocks > n_layers)].tolist():
        raise ValueError(f"there is no block {bad[0]}; the model has {n_layers}")
    before = run.last_states
    states, moved = [], []
    for group in changes:
        own = before[group.blocks.to(before.device)]
        states.append(group.states(own))
        moved.append((states[-1] - own).abs().amax(1))
    # Rows are filled from the lowest block up, so that runs that join later share the rows of those that run anyway.
    order = blocks.argsort(stable=True)
    rows = _Rows(run, blocks[order], torch.cat(states)[order.to(before.device)])
    if read is not None:
        rows.read(read, torch.cat([group.reads for group in changes])[order])
    top = torch.cat(room.over(len(blocks), rows.chunk))
    back = order.argsort()
    above = None if read is None else rows.above(back)
    return Swept(top[back.to(top.device)], torch.cat(moved).float().cpu(), above)


class _Rows:
    """All runs of an input, sorted by block, of which consecutive ones run together.

    Args:
        run: the free run.
        blocks: changed by each run, from 1, rising.
        states: the changed states, shape (runs, width).
    """

    def __init__(self, run: FreeRun, blocks: Tensor, states: Tensor):
        self.run, self.blocks, self.states = run, blocks, states
        self._read: Read | None = None
        self._reads = torch.zeros(len(blocks), dtype=torch.bool)
        # Runs, block and what was read. They stay on their devices, because the host would wait for each.
        self._found: list[tuple[Tensor, int, Tensor]] = []

    def read(self, read: Read, which: Tensor) -> None:
        """Read the changed states, which are the outputs of the changed blocks; and from now on all outputs above.

        Args:
            read: see :data:`Read`.
            which: of the runs, shape (runs,), bool.
        """
        self._read, self._reads = read, which
        for block in self.blocks[which].unique().tolist():
            runs = (which & (self.blocks == block)).nonzero()[:, 0]
            self._keep(block, runs, self.states[runs.to(self.states.device)])

    def above(self, order: Tensor) -> Tensor:
        """What was read, of the runs that are read in this order; shape (runs that are read, L, M)."""
        margins = self._found[0][2].shape[1] if self._found else 0
        above = torch.full((len(self.blocks), len(self.run.calls), margins), torch.nan)
        for runs, block, found in self._found:
            above[runs, block - 1] = found.float().cpu()
        return above[order[self._reads[order]]]

    def chunk(self, start: int, stop: int) -> Tensor:
        """The last block's output in the runs from ``start`` to ``stop``, shape (runs, width)."""
        run, states = self.run, self.states[start:stop]
        blocks = self.blocks[start:stop]
        # Behind the last block there is nothing to run. A change behind another one, counted from 1, joins before the
        # next, which has the same number counted from 0.
        joins = blocks[blocks < len(run.calls)].tolist()
        if not joins:
            return states

        def fresh(_block: int, first: int, last: int) -> Tensor:
            return states[None, first:last]

        rows = packed_runs(run, run.n_tokens - 1, joins, fresh, lambda mask: OwnMasks(mask, len(joins)))
        for block, output in rows:
            hidden = output[0]
            wanted = self._reads[start : start + len(hidden)].nonzero()[:, 0]
            if len(wanted):
                self._keep(block + 1, start + wanted, hidden[wanted.to(hidden.device)])
        return torch.cat([hidden.to(states.device), states[len(joins) :]])

    def _keep(self, block: int, runs: Tensor, states: Tensor) -> None:
        assert self._read is not None
        self._found.append((runs, block, self._read(block, states)))


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
