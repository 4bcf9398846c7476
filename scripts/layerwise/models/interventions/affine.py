"""The change of hidden states that erasing and steering share."""

import torch
from torch import Tensor


def changed(hidden: Tensor, from_: Tensor, to: Tensor, mean: Tensor, shift: Tensor) -> Tensor:
    """``x - sum_k (from_k . (x - mean)) to_k + shift`` of each state x.

    It is computed in float32 at least: ``from_`` magnifies dimensions of small spread, which bfloat16 does not resolve.
    Where nothing is added, as by an eraser of zeros, the states are those of ``hidden`` to the last bit.

    Args:
        hidden: hidden states, shape (..., d).
        from_, to: shape (r, d), or (..., r, d) for changes of their own in each of the leading dimensions; r may be 0.
        mean, shift: shape (d,), or (..., d).

    Returns:
        Shape and precision of ``hidden``.
    """
    exact = torch.promote_types(hidden.dtype, torch.float32)
    x, from_, to, mean, shift = (part.to(exact) for part in (hidden, from_, to, mean, shift))
    along = (x - mean)[..., None, :] @ from_.mT
    added = shift - (along @ to)[..., 0, :]
    return torch.where(added == 0, hidden, (x + added).to(hidden.dtype))
