"""What :mod:`layerwise.used.sweep` must equal: one forward pass of the whole model for each change, with a hook."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BatchFeature

from layerwise.errors import InputError
from layerwise.models.frozen import AnsweringModel, hidden_out, read_layers
from layerwise.used.changes import Changes


@torch.inference_mode()
def hooked(model: AnsweringModel, prepared: BatchFeature, change: Changes | None) -> tuple[Tensor, Tensor]:
    """One whole forward pass with one change.

    Args:
        model: the model.
        prepared: its inputs for one text, a batch of one.
        change: a single one; None for none.

    Returns:
        The logits of the token after the last one, shape (vocabulary,), float32; and the outputs of all blocks at the
        last token, shape (L, width), in the model's precision. Both on the CPU.

    Raises:
        InputError: when the changed block was not run exactly once.
    """
    inputs = prepared.to(model.device, model.dtype)
    with (
        changed_at_last(model.blocks, change),
        read_layers(model.blocks, model.final_norm, {"last": lambda hidden: hidden[:, -1]}) as readings,
    ):
        logits = model.model(**inputs, use_cache=False).logits[0, -1].float().cpu()
    return logits, readings.stacked()["last"][0, 1:-1]


@contextmanager
def changed_at_last(blocks: nn.ModuleList, change: Changes | None) -> Iterator[None]:
    """Change the output of a block at the last token of the one forward pass in this context.

    The hook comes before all others on the block, so that these read what it left.

    Raises:
        InputError: when the block was not run exactly once.
    """
    if change is None:
        yield
        return
    block, ran = int(change.blocks), [0]

    def replace(_block: nn.Module, _args: tuple, output: Any) -> Any:
        ran[0] += 1
        hidden = hidden_out(output).clone()
        hidden[:, -1] = change.states(hidden[:, -1])
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    handle = blocks[block - 1].register_forward_hook(replace, prepend=True)
    try:
        yield
    finally:
        handle.remove()
    (times,) = ran
    if times != 1:
        raise InputError(
            f"block {block} was run {times} times in one forward pass, so that its output was not changed once: "
            "whether this model uses a concept cannot be measured; leave it out of `used.models`"
        )
