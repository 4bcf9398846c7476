"""Check on two pictures, before the long run, that a model sees them and that its intervention works."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.block_kinds import WITHOUT_SCORES
from layerwise.models.frozen import FrozenModel
from layerwise.models.intervening import Intervention
from layerwise.states.images import read_image
from layerwise.stimuli.modalities import BLANK

log = logging.getLogger(__name__)

# Two states count as the same up to this norm of their difference over the norm of the vector. A blind model's states
# of two pictures are equal to the last bit. Among families that see, with untrained weights, the smallest difference
# observed is 2e-4 in float32 and 4e-3 in bfloat16 (Kosmos-2).
SAME = {torch.float32: 1e-6, torch.bfloat16: 1e-4, torch.float16: 1e-4}
# A picture that is cut off can still change rounding in a mixture of experts, which computes tokens together.
CUT_OFF = {torch.float32: 1e-5, torch.bfloat16: 1e-2, torch.float16: 1e-2}
# Coloured fields of the second picture, across and down. They are large enough to survive when it is scaled down.
FIELDS = 16


def check_sight(model: FrozenModel, name: str, inputs: pd.DataFrame, untrained: bool) -> None:
    """Show the model two pictures of one size with one prompt: the last token's topmost state must differ.

    Does nothing where no picture is shown, or the same grey one with all prompts. An intervention is switched off.

    Args:
        model, name: the model, and its name in the config.
        inputs: ``image``, ``prompt``, ``item_id``.
        untrained: whether its weights are random.

    Raises:
        InputError: when the model does not see, with what to do about it.
    """
    rows = inputs[inputs["image"].notna() & (inputs["image"] != BLANK)]
    if rows.empty:
        return
    row = rows.iloc[0]
    image = read_image(row["image"])
    with _intervention(model, None):
        difference = _between(*(_last(model, shown, row["prompt"]) for shown in (image, other_picture(image))))[-1]
    log.info("two pictures: the topmost states at the last token differ by %.1e", difference)
    # NaN passes this comparison: check_finite has the better message.
    if difference > SAME[model.dtype] or difference.isnan():
        return
    if untrained:
        raise InputError(
            f"models.{name}: this twin with random weights is blind: two different pictures have the same states, "
            "because its family starts with weights of zero between picture and text. It says nothing about pictures; "
            "leave it out, or name in its `prompts` only those without a picture"
        )
    raise InputError(
        f"models.{name}: this model is blind: its states are the same with another picture than that of item "
        f"{row['item_id']}. Its weights between picture and text are zero, or its weights and its processor are of two "
        "models; take its files from where they were published"
    )


def check_intervention(model: FrozenModel, inputs: pd.DataFrame) -> None:
    """Check that an intervention changes states, and that one on the image's tokens can keep the image out.

    With the image's tokens cut off in all blocks (or emptied before the first), the last token's states must not depend
    on the picture. If they do, something other than attention to these tokens carries it, and an intervention in some
    of the blocks means nothing.

    Args:
        model: the model. Nothing is checked without an intervention.
        inputs: ``image``, ``prompt``, ``item_id``.

    Raises:
        InputError: when the intervention changes nothing, or the image is reached in some other way.
    """
    intervention: Intervention | None = getattr(model, "intervention", None)
    if intervention is None:
        return
    kind, row = intervention.kind, inputs.iloc[0]
    image = read_image(row["image"])
    with _intervention(model, None):
        plain = _states(model, image, row["prompt"])
    intervened = _states(model, image, row["prompt"])
    changed = max(_between(intervened[position], plain[position]).max() for position in plain)
    log.info("intervention %s: states change by %.1e", kind, changed)
    # NaN passes here and below: check_finite has the better message.
    if changed <= SAME[model.dtype]:
        raise InputError(
            f"item {row['item_id']}: all states are the same with and without the intervention {kind}: it does nothing "
            f"in this model of type {model.model_type}; choose other blocks, or leave the entry out"
        )
    if intervention.about.everywhere is None or image is None:
        return
    if intervention.about.cuts_attention and not _self_attention_alone(model):
        return
    if not model.batch_invariant:
        # In LLM.int8, rounding of the text depends on the image's tokens too. That says nothing about the intervention.
        log.info("intervention %s: in 8 bits this check cannot tell whether it keeps the image out", kind)
        return
    n = model.n_layers
    with _intervention(model, intervention.everywhere()):
        left = _between(*(_last(model, shown, row["prompt"]) for shown in (image, other_picture(image)))).max()
    log.info("intervention %s in all blocks: two pictures differ by %.1e at the last token", kind, left)
    if left > CUT_OFF[model.dtype]:
        raise InputError(
            f"{kind} does not keep the image out of a model of type {model.model_type}: with its tokens "
            f"cut off in all {n} blocks, the last token's states still differ by {left:.1e} between two pictures. "
            "Something other than attention to these tokens carries it; leave the entry out"
        )


def other_picture(image: Image.Image) -> Image.Image:
    """A picture of the same size with fields of random colours, unlike any that a study shows."""
    fields = np.random.default_rng(0).integers(0, 256, (FIELDS, FIELDS, 3), dtype=np.uint8)
    return Image.fromarray(fields).resize(image.size, Image.Resampling.NEAREST)


@contextmanager
def _intervention(model: FrozenModel, intervention: Intervention | None) -> Iterator[None]:
    """Give the model this intervention, or none, while the block runs. Adapters of authors' code never have one."""
    before = getattr(model, "intervention", None)
    if before is intervention:
        yield
        return
    model.intervention = intervention
    try:
        yield
    finally:
        model.intervention = before


def _self_attention_alone(model: FrozenModel) -> bool:
    """Whether every block has attention that can be cut, so that cutting all of it leaves no other way."""
    kinds = getattr(model.decoder.config, "layer_types", None) or ()
    return not model.across and set(kinds).isdisjoint(WITHOUT_SCORES)


def _states(model: FrozenModel, image: Image.Image | None, prompt: str) -> dict[str, Tensor]:
    """States of one input at all positions that it has, each of shape (1, L + 2, width)."""
    return model.states([image], [prompt], ["last"] if image is None else ["last", "image-mean"])


def _last(model: FrozenModel, image: Image.Image, prompt: str) -> Tensor:
    return model.states([image], [prompt], ["last"])["last"]


def _between(first: Tensor, second: Tensor) -> Tensor:
    """Norm of the difference over norm of the first, per layer; shape (L + 2,)."""
    first, second = first[0].double(), second[0].double()
    return (first - second).norm(dim=-1) / first.norm(dim=-1).clamp_min(torch.finfo(torch.float32).tiny)
