"""Changes of the state at the last token as tensors, for many blocks at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from layerwise.models.interventions.affine import changed
from layerwise.models.interventions.concept_file import Change


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes of one rank, each for a run of its own: ``x - sum_k (from_k . (x - mean)) to_k + shift``.

    They are of all blocks, because a card would spend more time on starting small products than on computing them.

    Attributes:
        blocks: whose output each run changes at the last token, from 1; shape (runs,), on the CPU.
        from_, to: shape (runs, r, width), float32; r may be 0.
        mean, shift: shape (runs, width), float32.
        reads: whether the outputs of this block and of those above it are read, shape (runs,), bool, on the CPU.
    """

    blocks: Tensor
    from_: Tensor
    to: Tensor
    mean: Tensor
    shift: Tensor
    reads: Tensor

    @classmethod
    def of(
        cls, changes: Sequence[Change], blocks: Sequence[int], reads: Sequence[bool], device: torch.device
    ) -> "Changes":
        """Changes of one rank, behind these blocks, on a device."""

        def stacked(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(change, name) for change in changes])).float().to(device)

        of_blocks, read = torch.tensor(blocks), torch.tensor(reads)
        return cls(of_blocks, stacked("from_"), stacked("to"), stacked("mean"), stacked("shift"), read)

    def __len__(self) -> int:
        return len(self.blocks)

    def one(self, run: int) -> "Changes":
        """One of the changes alone."""
        parts = (self.blocks, self.from_, self.to, self.mean, self.shift, self.reads)
        return Changes(*(part[run : run + 1] for part in parts))

    def states(self, states: Tensor) -> Tensor:
        """What the changes make of states, in their precision; shape (runs, width), one state per run."""
        parts = (part.to(states.device) for part in (self.from_, self.to, self.mean, self.shift))
        return changed(states, *parts)
