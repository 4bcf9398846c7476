"""The classes that random concepts give an item, so that the effect of erasing one can be signed by itself.

The effect of erasing the own concept is signed by the item's class, which is what the eraser reads. A control reads
something else, so that its effect on the margin of that class has no sign of its own, and is smaller even in a model
that makes as little of the own concept as of any other.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.linalg import helmert
from torch import Tensor

from layerwise.used.changes import Changes


def simplex(n_classes: int) -> np.ndarray:
    """The corners of a regular simplex around 0, shape (K, K - 1), float64; for two classes -0.7 and 0.7."""
    return -helmert(n_classes).T


@torch.inference_mode()
def pseudo_classes(before: Tensor, changes: Sequence[Changes]) -> Tensor:
    """The class that the concept of each eraser gives the state that it changes.

    It is the corner of :func:`simplex` with the greatest inner product with the state's coordinates
    ``from_k . (x - mean)``: of two classes the second one where the single coordinate is above 0.

    Args:
        before: the free run's states at the last token behind all blocks, from the input's, shape (1 + L, width).
        changes: any. Erasers of rank r are taken to be of r + 1 classes.

    Returns:
        Class indices in the order of the changes, shape (runs,), int16, on the CPU; -1 for changes of rank 0.
    """
    found = []
    for group in changes:
        rank = group.from_.shape[1]
        if rank == 0:
            found.append(torch.full((len(group),), -1))
            continue
        mean, from_ = group.mean.to(before.device), group.from_.to(before.device)
        centred = before[group.blocks.to(before.device)].to(mean.dtype) - mean
        along = torch.einsum("rkd,rd->rk", from_, centred)
        corners = torch.from_numpy(simplex(rank + 1)).to(along)
        found.append((along @ corners.T).argmax(1).cpu())
    return torch.cat(found).to(torch.int16)
