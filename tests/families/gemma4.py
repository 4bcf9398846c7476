"""Gemma 4: heads of two sizes, and in its kinds shared keys and values, inputs to each layer, experts, no tower."""

from typing import Any

import transformers
from torch import nn
from transformers import PreTrainedTokenizerFast

from tests.families.common import WIDTH, Built, text, tokenizer, vision
from tests.families.family import IMAGE_BOTH_WAYS, NATIVE, Family

KINDS = ["sliding_attention", "full_attention", "full_attention"]
MARKS = {f"{name}_token": f"<{name}>" for name in ("image", "boi", "eoi", "audio", "boa", "eoa")}
# The fewest image tokens that its processors allow, of four small patches each.
PATCHES = {"patch_size": 4, "pooling_kernel_size": 2}
TOKENS = {"max_soft_tokens": 70}


def _words() -> PreTrainedTokenizerFast:
    return tokenizer("<|video|>", **MARKS)


def _text(words: PreTrainedTokenizerFast, **more: Any) -> dict[str, Any]:
    """Heads of 16 with a window, of 32 without."""
    sizes = {"head_dim": 16, "global_head_dim": 32, "layer_types": KINDS, "sliding_window": 12}
    sizes |= {"final_logit_softcapping": 30.0}
    return text(words, **sizes, **more)


def _ids(words: PreTrainedTokenizerFast) -> dict[str, int]:
    named = {f"{name}_token_id": words.convert_tokens_to_ids(f"<{name}>") for name in ("image", "boi", "eoi", "audio")}
    return named | {
        "boa_token_id": words.convert_tokens_to_ids("<boa>"),
        "eoa_token_index": words.convert_tokens_to_ids("<eoa>"),
        "video_token_id": words.convert_tokens_to_ids("<|video|>"),
    }


def _even(model: nn.Module) -> nn.Module:
    """The model with scores of a usual size. Scores of normed queries and keys are not divided by the root of the
    heads' size: with scales of one, as they are drawn, they are large and amplify rounding.
    """
    for block in model.get_decoder().layers:
        nn.init.constant_(block.self_attn.q_norm.weight, 0.25)
    return model


def _gemma4(**decoder: Any) -> Built:
    words = _words()
    config = transformers.Gemma4Config(
        text_config=_text(words, **decoder),
        vision_config=vision(num_key_value_heads=2, head_dim=16) | PATCHES,
        **_ids(words),
    )
    images, videos = transformers.Gemma4ImageProcessor(**PATCHES, **TOKENS), transformers.Gemma4VideoProcessor()
    processor = transformers.Gemma4Processor(transformers.Gemma4AudioFeatureExtractor(), images, words, videos)
    return _even(transformers.Gemma4ForConditionalGeneration(config)), processor


def gemma4() -> Built:
    """Gemma 4 E2B and E4B: each layer gets an embedding of its own, the last layer an earlier one's keys and values."""
    per_layer = {"hidden_size_per_layer_input": 8, "vocab_size_per_layer_input": len(_words())}
    return _gemma4(num_kv_shared_layers=1, use_double_wide_mlp=True, **per_layer)


def gemma4_experts() -> Built:
    """Gemma 4 26B-A4B: experts beside the MLP, keys that are values too, an image that sees itself both ways."""
    experts = {"enable_moe_block": True, "num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 32}
    both_ways = {"use_bidirectional_attention": "vision", "attention_k_eq_v": True, "num_global_key_value_heads": 1}
    return _gemma4(hidden_size_per_layer_input=0, **experts, **both_ways)


def gemma4_unified() -> Built:
    """Gemma 4 12B: no vision tower; the picture's patches are projected, and see one another both ways."""
    words = _words()
    config = transformers.Gemma4UnifiedConfig(
        text_config=_text(words),
        vision_config=PATCHES | {"mm_embed_dim": WIDTH, "mm_posemb_size": 32, "output_proj_dims": WIDTH},
        **_ids(words),
    )
    processor = transformers.Gemma4UnifiedProcessor(
        transformers.Gemma4UnifiedAudioFeatureExtractor(),
        transformers.Gemma4UnifiedImageProcessor(**PATCHES, **TOKENS),
        words,
        transformers.Gemma4UnifiedVideoProcessor(),
    )
    return _even(transformers.Gemma4UnifiedForConditionalGeneration(config)), processor


FAMILIES = [
    Family("Gemma 4", gemma4, NATIVE),
    Family("Gemma 4 with experts", gemma4_experts, IMAGE_BOTH_WAYS),
    Family("Gemma 4 Unified", gemma4_unified, IMAGE_BOTH_WAYS),
]
