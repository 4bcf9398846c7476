"""Changes of the state at the last token, behind one block, as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from layerwise.models.interventions.affine import changed
from layerwise.models.interventions.concept_file import Change


@dataclass(frozen=True, eq=False)
class BlockChanges:
    """Changes behind one block, each for a run of its own: ``x - sum_k (from_k . (x - mean)) to_k + shift``.

    Attributes:
        block: whose output is changed at the last token, from 1.
        from_, to: shape (runs, r, width), float32; r may be 0.
        mean, shift: shape (runs, width), float32.
        reads: whether the outputs of this block and of those above it are read.
    """

    block: int
    from_: Tensor
    to: Tensor
    mean: Tensor
    shift: Tensor
    reads: bool = False

    @classmethod
    def of(cls, block: int, changes: Sequence[Change], device: torch.device, reads: bool = False) -> "BlockChanges":
        """Changes of one rank, on a device."""

        def stacked(name: str) -> Tensor:
            return torch.from_numpy(np.stack([getattr(change, name) for change in changes])).float().to(device)

        return cls(block, stacked("from_"), stacked("to"), stacked("mean"), stacked("shift"), reads)

    def __len__(self) -> int:
        return len(self.mean)

    def one(self, run: int) -> "BlockChanges":
        """One of the changes alone."""
        parts = {name: getattr(self, name)[run : run + 1] for name in ("from_", "to", "mean", "shift")}
        return replace(self, **parts)

    def states(self, state: Tensor) -> Tensor:
        """What each change makes of one state, in its precision.

        Args:
            state: shape (width,).

        Returns:
            Shape (runs, width).
        """
        parts = (part.to(state.device) for part in (self.from_, self.to, self.mean, self.shift))
        return changed(state.expand(len(self), -1), *parts)
