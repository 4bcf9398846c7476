"""Qwen's hybrids, and MiniCPM-OCR on one: most blocks carry states on by linear attention, the others by attention."""

from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import BEGIN, END, PATCH, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import HYBRID, RECURRENT, Family

# Pictures of 4 to 16 merged patches.
LEAST, MOST = (4 * PATCH) ** 2, (8 * PATCH) ** 2
NAMED = {"image_token": "<image>", "video_token": "<video>"}
LINEAR = {
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 12,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 4,
}
EXPERTS = {
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 48,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}


def _decoder(words: PreTrainedTokenizerFast, kinds: list[str], **more: Any) -> dict[str, Any]:
    # A quarter of a head is turned by position, as in the families' own configurations.
    rope = {"rope_type": "default", "mrope_section": [2, 1, 1], "mrope_interleaved": True, "rope_theta": 10000.0}
    rope["partial_rotary_factor"] = 0.25
    layers = {"layer_types": kinds, "num_hidden_layers": len(kinds)}
    return text(words, head_dim=32, rope_parameters=rope, **layers, **LINEAR, **more)


def _qwen(config_class: type, model_class: type, words: PreTrainedTokenizerFast, decoder: dict[str, Any]) -> Built:
    begin, end, video = words.convert_tokens_to_ids([BEGIN, END, "<video>"])
    tower = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": WIDTH}
    config = config_class(
        text_config=decoder,
        vision_config=tower | {"patch_size": PATCH, "num_position_embeddings": 64},
        image_token_id=image_token(words),
        video_token_id=video,
        vision_start_token_id=begin,
        vision_end_token_id=end,
    )
    images = transformers.Qwen2VLImageProcessor(patch_size=PATCH, min_pixels=LEAST, max_pixels=MOST)
    processor = transformers.Qwen3VLProcessor(images, words, transformers.Qwen3VLVideoProcessor(patch_size=PATCH))
    return model_class(config), processor


def qwen3_5() -> Built:
    """Qwen3.5: linear attention and attention in turn, in heads of other sizes."""
    words = tokenizer(**NAMED)
    kinds = ["linear_attention", "full_attention", "linear_attention", "full_attention"]
    decoder = _decoder(words, kinds)
    return _qwen(transformers.Qwen3_5Config, transformers.Qwen3_5ForConditionalGeneration, words, decoder)


def qwen3_5_moe() -> Built:
    """Qwen3.5 with experts."""
    words = tokenizer(**NAMED)
    decoder = _decoder(words, ["linear_attention", "full_attention", "linear_attention"], **EXPERTS)
    return _qwen(transformers.Qwen3_5MoeConfig, transformers.Qwen3_5MoeForConditionalGeneration, words, decoder)


def minicpm_ocr() -> Built:
    """MiniCPM-OCR: Qwen3.5's decoder, and a picture in slices with text between them."""
    named = {
        "image_start_token": BEGIN,
        "image_end_token": END,
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    }
    words = tokenizer(**NAMED, **named)
    decoder = _decoder(words, ["linear_attention", "full_attention", "linear_attention"])
    config = transformers.MiniCPMOcrConfig(
        text_config=decoder | {"model_type": "qwen3_5_text"},
        vision_config=vision(num_hidden_layers=3, image_size=8 * PATCH),
        insert_layer_id=1,
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
    )
    slices = {"scale_resolution": 4 * PATCH, "patch_size": PATCH, "max_slice_nums": 4}
    images = transformers.MiniCPMOcrImageProcessor(**slices)
    videos = transformers.MiniCPMOcrVideoProcessor(**slices)
    processor = transformers.MiniCPMOcrProcessor(images, videos, words)
    return transformers.MiniCPMOcrForConditionalGeneration(config), processor


FAMILIES: list[Family] = [
    Family("Qwen3.5", qwen3_5, HYBRID, not_shared=RECURRENT),
    Family("Qwen3.5 with experts", qwen3_5_moe, HYBRID, not_shared=RECURRENT),
    Family("MiniCPM-OCR", minicpm_ocr, HYBRID, not_shared=RECURRENT),
]
