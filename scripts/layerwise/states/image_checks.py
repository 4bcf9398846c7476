"""Check on two pictures, before the long run, that a model sees them and that its intervention works."""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.block_kinds import WITHOUT_SCORES
from layerwise.models.frozen import FrozenModel, Shown, pictures_of
from layerwise.models.intervening import Intervention
from layerwise.several_pictures import each
from layerwise.states.checks import difference
from layerwise.states.images import read_images
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

    Of several pictures in a text, each is replaced in turn. Does nothing where no picture is shown, or only grey ones.
    An intervention is switched off.

    Args:
        model, name: the model, and its name in the config.
        inputs: ``image``, ``prompt``, ``item_id``.
        untrained: whether its weights are random.

    Raises:
        InputError: when the model does not see, with what to do about it.
    """
    rows = inputs[[isinstance(cell, str) and set(each(cell)) != {BLANK} for cell in inputs["image"]]]
    if rows.empty:
        return
    row = rows.iloc[0]
    shown = read_images(row["image"])
    numbers = range(1, len(pictures_of(shown)) + 1)
    with _intervention(model, None):
        own = _last(model, shown, row["prompt"])
        others = [_last(model, replaced(shown, [number]), row["prompt"]) for number in numbers]
    differences = [_between(own, other)[-1] for other in others]
    for number, found in zip(numbers, differences, strict=True):
        log.info("another picture %d: the topmost state at the last token differs by %.1e", number, found)
    # NaN passes this comparison: check_finite has the better message.
    unseen = [number for number, found in zip(numbers, differences, strict=True) if found <= SAME[model.dtype]]
    if not unseen:
        return
    if len(unseen) < len(numbers):
        raise InputError(
            f"models.{name}: this model does not see picture {unseen[0]} of {len(numbers)}: the last token's state is "
            f"the same with another picture in the place of that of item {row['item_id']}, because its family reads "
            "fewer pictures in a text, or none so far from its end; leave the model out of stimuli with several "
            "pictures"
        )
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
    of the blocks means nothing. An intervention on one of several pictures must leave the others in.

    Args:
        model: the model. Nothing is checked without an intervention.
        inputs: ``image``, ``prompt``, ``item_id``.

    Raises:
        InputError: when the intervention changes nothing, the image is reached in some other way, or more is kept out
            than the picture that the intervention is about.
    """
    intervention: Intervention | None = getattr(model, "intervention", None)
    if intervention is None:
        return
    kind, row = intervention.kind, inputs.iloc[0]
    shown = read_images(row["image"])
    with _intervention(model, None):
        plain = _states(model, shown, row["prompt"])
    intervened = _states(model, shown, row["prompt"])
    changed = max(_between(intervened[position], plain[position]).max() for position in plain)
    log.info("intervention %s: states change by %.1e", kind, changed)
    # NaN passes here and below: check_finite has the better message.
    if changed <= SAME[model.dtype]:
        raise InputError(
            f"item {row['item_id']}: all states are the same with and without the intervention {kind}: it does nothing "
            f"in this model of type {model.model_type}; choose other blocks, or leave the entry out"
        )
    if intervention.about.everywhere is None or shown is None:
        return
    if intervention.about.cuts_attention and not _self_attention_alone(model):
        return
    if not model.batch_invariant:
        # In LLM.int8, rounding of the text depends on the image's tokens too. That says nothing about the intervention.
        log.info("intervention %s: in 8 bits this check cannot tell whether it keeps the image out", kind)
        return
    numbers = list(range(1, len(pictures_of(shown)) + 1))
    kept_out = numbers if intervention.picture is None else [intervention.picture]
    with _intervention(model, intervention.everywhere()):
        own = _last(model, shown, row["prompt"])
        left = _between(own, _last(model, replaced(shown, kept_out), row["prompt"])).max()
        others = {
            number: _between(own, _last(model, replaced(shown, [number]), row["prompt"])).max()
            for number in numbers
            if number not in kept_out
        }
    log.info("intervention %s in all blocks: two pictures differ by %.1e at the last token", kind, left)
    if left > CUT_OFF[model.dtype]:
        raise InputError(
            f"{kind} does not keep the image out of a model of type {model.model_type}: with its tokens "
            f"cut off in all {model.n_layers} blocks, the last token's states still differ by {left:.1e} between two "
            "pictures. Something other than attention to these tokens carries it; leave the entry out"
        )
    for number, seen in others.items():
        if seen <= SAME[model.dtype]:
            raise InputError(
                f"{kind} keeps picture {number} out of a model of type {model.model_type}, too, and is about picture "
                f"{intervention.picture} alone: what is known of the one reaches the last token only through the "
                "other's tokens; leave `image` out of the entry"
            )


def replaced(shown: Shown, numbers: Collection[int]) -> Shown:
    """The same pictures with others of the same size in some places, counted from 1."""
    if not isinstance(shown, tuple):
        return shown if shown is None else other_picture(shown)
    return tuple(other_picture(one) if i in numbers else one for i, one in enumerate(shown, start=1))


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


def _states(model: FrozenModel, shown: Shown, prompt: str) -> dict[str, Tensor]:
    """States of one input at all positions that it has, each of shape (1, L + 2, width)."""
    return model.states([shown], [prompt], ["last"] if shown is None else ["last", "image-mean"])


def _last(model: FrozenModel, shown: Shown, prompt: str) -> Tensor:
    return model.states([shown], [prompt], ["last"])["last"]


def _between(first: Tensor, second: Tensor) -> Tensor:
    """How far the second is from the first, per layer, see :func:`layerwise.states.checks.difference`; (L + 2,)."""
    return difference(second, first)[0]
