"""Move the padding of prepared inputs to where it changes no state, and say where it would change one."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from torch import Tensor

from layerwise.models.prefix.split import PER_TOKEN


def settle_padding(inputs: MutableMapping[str, Tensor]) -> None:
    """Move padding to where it changes no state, in place: the processors of BLIP-2 and InstructBLIP misplace it.

    They pad the text on the left and then put the image's tokens before the padding. A decoder that counts positions
    without the mask would see the shorter texts of a batch further from their image. The text for InstructBLIP's
    queries is padded on the left too, although they count from the left.
    """
    mask = inputs["attention_mask"]
    if ((mask.diff(dim=1) != 0).sum(1) > 1).any():
        _reorder(inputs, PER_TOKEN, mask.argsort(dim=1, stable=True))
    if "qformer_attention_mask" in inputs:
        order = inputs["qformer_attention_mask"].argsort(dim=1, stable=True, descending=True)
        _reorder(inputs, ("qformer_input_ids", "qformer_attention_mask"), order)


def scaled_from(config: Any) -> int | None:
    """The first place in a row, padding included, from which a decoder scales queries by their place; None if none.

    In such decoders (Mistral's of 2026, Inkling's) positions count as distances between tokens, which padding does not
    change. But in long texts queries are also scaled by their place itself.

    Args:
        config: the decoder's.
    """
    rope = getattr(config, "rope_parameters", None) or {}
    if rope.get("llama_4_scaling_beta"):
        return rope["original_max_position_embeddings"]
    return getattr(config, "log_scaling_n_floor", None)


def _reorder(inputs: MutableMapping[str, Tensor], keys: Sequence[str], order: Tensor) -> None:
    for key in keys:
        if key in inputs:
            inputs[key] = inputs[key].gather(1, order)
