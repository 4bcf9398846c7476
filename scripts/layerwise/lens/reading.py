"""Read the output head at every image token of every layer while the model runs. No state is kept.

The logit lens (nostalgebraist 2020) at image tokens, as Neo et al. (2024, arXiv 2410.07149) read them: a layer's state
passes the final norm and the output head, as if the blocks above it were not there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.families import family_of
from layerwise.models.frozen import AnsweringModel, FrozenModel, read_layers
from layerwise.models.head import next_token_logits

# States whose logits over the whole vocabulary are in memory at a time.
STATES_AT_ONCE = 1024
# The name under which hooks keep what is read.
READ = "image tokens"


def check_readable(model: FrozenModel, name: str) -> AnsweringModel:
    """The same model, if its output head can be applied to any layer.

    Args:
        model: the model.
        name: its entry's, for messages.

    Raises:
        InputError: when it cannot, saying why.
    """
    where = f"lens: models.{name}"
    if not isinstance(model, AnsweringModel):
        raise InputError(f"{where} runs on its authors' code, which does not show its output head; leave it out")
    if why := family_of(model.model_type).joins_blocks:
        raise InputError(f"{where}: {why}; leave it out")
    head = model.model.get_output_embeddings()
    if getattr(head, "in_features", model.width) != model.width:
        raise InputError(
            f"{where}: its output head reads states of width {head.in_features}, but its final norm makes "
            f"{model.width}; leave it out"
        )
    return model


class _Head:
    """Maps the states of a layer to how probable some words are at each image token; called once per layer."""

    def __init__(self, model: AnsweringModel, image: Tensor, tokens: Sequence[Sequence[int]]):
        self.model, self.image, self.tokens, self.layers = model, image, tokens, 0

    def __call__(self, hidden: Tensor) -> Tensor:
        # The last one is the final norm's own output.
        normed = self.layers == self.model.n_layers + 1
        self.layers += 1
        states = hidden[self.image.to(hidden.device)]
        return torch.cat([self._read(part, normed) for part in states.split(STATES_AT_ONCE)])

    def _read(self, states: Tensor, normed: bool) -> Tensor:
        if not normed:
            # Not by a call, which would run the hooks that read the final norm's output.
            states = self.model.final_norm.forward(states.to(_device(self.model.final_norm, states)))
        logits = next_token_logits(self.model, states)
        of_words = torch.stack([logits[:, ids].logsumexp(1) for ids in self.tokens], dim=1)
        return of_words - logits.logsumexp(1, keepdim=True)


def _device(module: nn.Module, like: Tensor) -> torch.device:
    return next((parameter.device for parameter in module.parameters()), like.device)


@torch.inference_mode()
def read_words(model: AnsweringModel, prepared: Any, tokens: Sequence[Sequence[int]]) -> list[np.ndarray]:
    """How probable some words are at the image tokens of prepared inputs, in every layer.

    Args:
        model: without an intervention.
        prepared: what ``model.prepare`` made of pictures, each with a prompt.
        tokens: of each word, see :func:`layerwise.lens.words.word_tokens`.

    Returns:
        For each picture the logarithm of the summed probability of each word's tokens, shape (words, L + 2, image
        tokens), float32.
    """
    if isinstance(prepared, list):
        return [maps for one in prepared for maps in read_words(model, one, tokens)]
    inputs = prepared.to(model.device, model.dtype)
    image = model.image_tokens(inputs).bool()
    head = _Head(model, image, tokens)
    with read_layers(model.blocks, model.final_norm, {READ: head}) as readings:
        model.forward(**inputs, use_cache=False)
    values = torch.stack([layer.float().cpu() for layer in readings.kept[READ]]).permute(2, 0, 1).numpy()
    ends = image.sum(1).cumsum(0).tolist()
    return np.split(values, ends[:-1], axis=2)
