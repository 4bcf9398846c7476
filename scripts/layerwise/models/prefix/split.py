"""Find and cut off the prefix that several texts about one image share."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from layerwise.models.frozen import PICTURES

# The inputs that have one value per token; all others (pixels, sizes) are about the image as a whole.
PER_TOKEN = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "mm_token_type_ids",
    "moe_mm_token_type_ids",
    "image_embeds_position_mask",
    "cross_attention_mask",
    "image_attention_mask",
    PICTURES,
)


@dataclass(frozen=True)
class PromptGroup:
    """Several prompts about one image, or about the same several, on the host.

    Attributes:
        prefix: the model's inputs for the common prefix of P tokens, batch 1. Some are lists of numbers.
        pictures: whose tokens those of the prefix are: a picture's number, or 0; shape (1, P).
        rests: per prompt the token ids after the prefix, at least one.
    """

    prefix: dict[str, Any]
    pictures: Tensor
    rests: list[Tensor]


def inputs_to(inputs: Mapping[str, Any], device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """A model's inputs on a device, with floating-point inputs in its precision. What is no tensor stays as it is."""

    def moved(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        return value.to(device, dtype if value.is_floating_point() else value.dtype)

    return {key: moved(value) for key, value in inputs.items()}


def split_prefix(inputs: Mapping[str, Any], pictures: Tensor, token_ids: Sequence[Sequence[int]]) -> PromptGroup:
    """Cut several texts about one image, or the same several, at their longest common prefix of tokens.

    Args:
        inputs: the model's inputs for the first text alone, batch 1.
        pictures: whose tokens they are: a picture's number, or 0; shape (1, tokens).
        token_ids: per text its whole token ids; those of the first text are in ``inputs``.

    Raises:
        ValueError: when the prefix does not hold the whole image, or all of them.
    """
    shortest = min(len(ids) for ids in token_ids)
    rows = torch.tensor([list(ids[:shortest]) for ids in token_ids])
    same = (rows == rows[0]).all(0).long().cumprod(0)
    # Each text keeps a token of its own, even if it is the start of another text.
    length = min(int(same.sum()), shortest - 1)
    if not pictures.any() or bool(pictures[:, length:].any()):
        raise ValueError("the texts differ before the image ends, so that there is no prefix to share")
    own = {key: value for key, value in inputs.items() if key != PICTURES}
    prefix = {key: value[:, :length] if key in PER_TOKEN else value for key, value in own.items()}
    return PromptGroup(prefix, pictures[:, :length], [torch.tensor(list(ids[length:])) for ids in token_ids])


def expanded_like(
    expanded: Sequence[int],
    plain: Sequence[Sequence[int]],
    placeholder: int,
    special: Collection[int],
    pictures: int = 1,
) -> list[list[int]] | None:
    """Token ids of all texts with the image written out, or all of them, derived from those of the first text.

    Args:
        expanded: what the processor made of the first text and its pictures.
        plain: per text the tokenizer's ids, with one placeholder for each picture.
        placeholder: the placeholder's id.
        special: ids of tokens at which the tokenizer always splits.
        pictures: how many there are.

    Returns:
        None if this is not certain: the last image must end in a special token, so that no token joins it with what
        follows, and all texts must be equal before it.
    """
    first = plain[0]
    if any(list(ids).count(placeholder) != pictures for ids in plain):
        return None
    at = max(i for i, token in enumerate(first) if token == placeholder)
    tail = len(first) - at - 1
    image_end = len(expanded) - tail
    if image_end < 1 or list(expanded[image_end:]) != list(first[at + 1 :]) or expanded[image_end - 1] not in special:
        return None
    if any(ids[: at + 1] != first[: at + 1] for ids in plain):
        return None
    return [list(expanded[:image_end]) + list(ids[at + 1 :]) for ids in plain]
