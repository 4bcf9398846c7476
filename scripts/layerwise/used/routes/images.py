"""The states of images' tokens behind one block, for routes that read them. One forward pass for each input."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from layerwise.models.frozen import AnsweringModel, hidden_out
from layerwise.states.named import prepare_rows
from layerwise.states.plan import prefixes


def read_image_tokens(
    model: AnsweringModel, block: int, inputs: pd.DataFrame, batch_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The output of a block at the image's tokens.

    Where texts about an image (or about the same pictures) share its prefix, the image's states are the same for all of
    them, and it is run once.

    Args:
        model: the model, without an intervention.
        block: counted from 1.
        inputs: ``item_id``, ``image``, ``prompt``; a row per input.
        batch_size: inputs per forward pass.

    Returns:
        The states in the model's own precision, shape (images, tokens, width), padded with zeros; which of them are
        there, shape (images, tokens); and the image of each input, shape (inputs,). On the CPU.

    Raises:
        InputError: when the model does not say which tokens are the image's, or cannot run an input.
    """
    if model.shares_prefix:
        shared = prefixes(inputs)
        numbers, _ = pd.factorize(shared)
        run = inputs[~shared.duplicated()]
    else:
        numbers, run = range(len(inputs)), inputs
    found: list[Tensor] = []
    for start in tqdm(range(0, len(run), batch_size), unit="batch", mininterval=5):
        found += _of_batch(model, block, prepare_rows(model, run.iloc[start : start + batch_size]))
    states = torch.nn.utils.rnn.pad_sequence(found, batch_first=True)
    lengths = torch.tensor([len(tokens) for tokens in found])
    return states, torch.arange(states.shape[1]) < lengths[:, None], torch.tensor(list(numbers))


def _of_batch(model: AnsweringModel, block: int, prepared: Any) -> Iterator[Tensor]:
    """For each input of a prepared batch, its image's states, shape (tokens, width)."""
    # Pictures of several sizes may come one by one.
    for inputs in prepared if isinstance(prepared, list) else [prepared]:
        read: list[Tensor] = []

        def keep(_block: Any, _args: Any, output: Any, read: list[Tensor] = read) -> None:
            read.append(hidden_out(output))

        hook = model.blocks[block - 1].register_forward_hook(keep)
        try:
            model.run(inputs, ["last"])
        finally:
            hook.remove()
        image = model.image_tokens(inputs)
        for hidden, is_image in zip(read[0], image.to(read[0].device), strict=True):
            yield hidden[is_image].cpu()
