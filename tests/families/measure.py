"""Check a family's hooks, its padding and its shared prefix, each against one input at a time."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from layerwise.models.adapters.generic import GenericModel
from tests.families import Family

POSITIONS = ["last", "image-mean"]
PROMPTS = [
    "Is there a circle?",
    "A much longer prompt, about a red circle left of a blue square.",
    "Hm.",
    "Is there a circle",
    "Is",
    "A blue star above a red star?",
]


@dataclass(frozen=True)
class Measured:
    """Greatest differences, as the norm of the difference over the norm of the vector, over layers and positions.

    Attributes:
        model_type: the family's name in transformers.
        decoder: where in the model the blocks are.
        hooks: the states that hooks read, against ``output_hidden_states`` of the whole model.
        batch: a batch padded on the left (and on the right), against its inputs alone.
        shared: prompts over one image's prefix, against the same alone, whether declared to be exact or not.
        declared: whether the adapter says that it shares prefixes.
        image: how much the last token's state differs between two images.
    """

    model_type: str
    decoder: str
    hooks: float
    batch: float
    shared: float
    declared: bool
    image: float


def pictures() -> list[Image.Image]:
    """A wide and a high picture: after them, families that number rows and columns go on at different positions."""
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)) for size in ((48, 64, 3), (64, 40, 3))]


def relative(first: Tensor, second: Tensor) -> float:
    """The greatest norm of the difference over the norm of the second, over all vectors."""
    return float(((first.double() - second.double()).norm(dim=-1) / second.double().norm(dim=-1)).max())


def one_at_a_time(model: GenericModel, images: list[Image.Image], prompts: list[str]) -> dict[str, Tensor]:
    """States of each pair run by itself."""
    each = [model.states([image], [prompt], POSITIONS) for image, prompt in zip(images, prompts, strict=True)]
    return {position: torch.cat([states[position] for states in each]) for position in POSITIONS}


def reported(model: GenericModel, image: Image.Image, prompt: str) -> dict[str, Tensor]:
    """The states that the whole model reports for one input, without this project's hooks; (1, L + 1, width)."""
    # Llama 4's processor gives pixels in bfloat16.
    inputs = model.prepare([image], [prompt]).to(model.device, model.dtype)
    with torch.inference_mode():
        output = model.model(**inputs, output_hidden_states=True)
    hidden = torch.stack(getattr(output, "language_model_outputs", output).hidden_states, dim=1)
    image_tokens = model.image_tokens(inputs)[0]
    return {"last": hidden[:, :, -1], "image-mean": hidden[:, :, image_tokens].mean(2)}


@cache
def measure(family: Family) -> Measured:
    """Run all checks of a family once."""
    model, images = family.frozen(), pictures()
    pairs = [images[i % 2] for i in range(len(PROMPTS))]
    alone = one_at_a_time(model, pairs, PROMPTS)
    hooks = 0.0
    for i, (image, prompt) in enumerate(zip(pairs, PROMPTS, strict=True)):
        for position, layers in reported(model, image, prompt).items():
            # transformers gives embeddings, blocks 1 to L - 1 and the final norm's output.
            ours = torch.cat([alone[position][i : i + 1, :-2], alone[position][i : i + 1, -1:]], dim=1)
            assert ours.shape == layers.shape
            hooks = max(hooks, relative(ours, layers))
        # transformers does not report the last block. Its state must lead to the final norm's output.
        last = alone["last"][i]
        hooks = max(hooks, relative(model.final_norm(last[-2]), last[-1]))
    batch = 0.0
    for side in ("right", "left"):
        model.processor.tokenizer.padding_side = side
        together = model.states(pairs, PROMPTS, POSITIONS)
        batch = max([batch, *(relative(together[position], alone[position]) for position in POSITIONS)])
    return Measured(
        model_type=model.model.config.model_type,
        decoder=next(name for name, module in model.model.named_modules() if module is model.blocks),
        hooks=hooks,
        batch=batch,
        shared=_shared(model, images),
        declared=model.shares_prefix,
        image=relative(alone["last"][:1, -1], model.states(images[1:], PROMPTS[:1], ["last"])["last"][:, -1]),
    )


def _shared(model: GenericModel, images: list[Image.Image]) -> float:
    """How far states over a shared prefix are from those alone, on two images in turn."""
    if set(getattr(model.decoder.config, "layer_types", None) or ()) & {"linear_attention", "conv"}:
        # Such blocks keep no keys and values that texts could go on from.
        return math.inf
    greatest = 0.0
    groups = [model.prepare_shared(image, PROMPTS) for image in images]
    for image, group in zip(images, groups, strict=True):
        # The other image ran last, and nothing that the model remembers of it may matter.
        shared = model.run_shared(group, POSITIONS)
        expected = one_at_a_time(model, [image] * len(PROMPTS), PROMPTS)
        for position in POSITIONS:
            assert shared[position].shape == (len(PROMPTS), model.n_layers + 2, model.width)
            greatest = max(greatest, relative(shared[position], expected[position]))
        model.run_shared(groups[0], ["last"])
    return greatest
