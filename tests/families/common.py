"""The common parts of all tiny models: a tokenizer and sizes."""

from typing import Any

import transformers
from torch import nn
from transformers import PreTrainedTokenizerFast

from layerwise.models.embedded.tokenizer import train_tokenizer

WIDTH, LAYERS, SIDE, PATCH = 64, 3, 56, 14
BEGIN, END = "<begin-image>", "<end-image>"
PINPOINTS = [[SIDE, 2 * SIDE], [2 * SIDE, SIDE]]

# A tiny model and its processor.
Built = tuple[nn.Module, Any]


def tokenizer(*more: str, **named: str) -> PreTrainedTokenizerFast:
    """A small byte-level tokenizer with ``<image>`` and a token on either side of it.

    Args:
        more: further special tokens.
        named: further tokens that a processor reads as attributes, by name and by name and ``_id``.
    """
    trained = train_tokenizer(["Is there a red circle in the image?", "A blue square left of a green star."] * 20)
    trained.add_special_tokens({"additional_special_tokens": ["<image>", BEGIN, END, *more], "unk_token": "<unk>"})
    return PreTrainedTokenizerFast(
        tokenizer_object=trained.backend_tokenizer,
        padding_side=trained.padding_side,
        **{name: token for name, token in trained.special_tokens_map.items() if name != "additional_special_tokens"},
        extra_special_tokens=named,
    )


def text(words: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """Arguments for the configurations of most text decoders."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 128,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": len(words),
        "max_position_embeddings": 512,
        "pad_token_id": words.pad_token_id,
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
    } | more


def vision(**more: Any) -> dict[str, Any]:
    """Arguments for the configurations of most vision towers."""
    return {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIDE,
        "patch_size": PATCH,
    } | more


def siglip(**more: Any) -> transformers.SiglipVisionConfig:
    """A SigLIP tower without its pooling head."""
    return transformers.SiglipVisionConfig(**vision(vision_use_head=False, **more))


def image_token(words: PreTrainedTokenizerFast) -> int:
    """The id of ``<image>``."""
    return words.convert_tokens_to_ids("<image>")
