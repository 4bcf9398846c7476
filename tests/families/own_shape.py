"""Families of several makers that take a picture in its own shape."""

from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import BEGIN, END, PATCH, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import NATIVE, SOME_WINDOWS, Family

# Pictures of 4 to 16 tokens.
LEAST, MOST = (4 * PATCH) ** 2, (8 * PATCH) ** 2


def _words() -> PreTrainedTokenizerFast:
    return tokenizer(image_token="<image>", video_token="<video>")


def _tokens(words: PreTrainedTokenizerFast) -> dict[str, Any]:
    return {"image_token_id": image_token(words), "video_token_id": words.convert_tokens_to_ids("<video>")}


def exaone4_5() -> Built:
    """EXAONE 4.5: blocks with a window that is shorter than the image and rotated keys, and one with neither."""
    words = _words()
    tower = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 2,
        "num_key_value_heads": 1,
        "out_hidden_size": WIDTH,
        "patch_size": PATCH,
        "fullatt_block_indexes": [1],
        "window_size": 56,
    }
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    decoder = transformers.Exaone4Config(**text(words, head_dim=16, sliding_window=6, layer_types=kinds))
    config = transformers.Exaone4_5_Config(text_config=decoder, vision_config=tower, **_tokens(words))
    images = transformers.Qwen2VLImageProcessor(patch_size=PATCH, merge_size=2, min_pixels=LEAST, max_pixels=MOST)
    processor = transformers.Exaone4_5_Processor(images, words, transformers.Qwen2VLVideoProcessor())
    return transformers.Exaone4_5_ForConditionalGeneration(config), processor


def paddleocr_vl() -> Built:
    """PaddleOCR-VL: a SigLIP tower with rows and columns, ERNIE's decoder with positions by row and column."""
    words = _words()
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    begin, end = words.convert_tokens_to_ids([BEGIN, END])
    config = transformers.PaddleOCRVLConfig(
        text_config=text(words, head_dim=16, rope_parameters=rope),
        vision_config=vision(spatial_merge_size=2),
        vision_start_token_id=begin,
        vision_end_token_id=end,
        **_tokens(words),
    )
    size = {"shortest_edge": LEAST, "longest_edge": MOST}
    images = transformers.PaddleOCRVLImageProcessor(patch_size=PATCH, merge_size=2, size=size)
    return transformers.PaddleOCRVLForConditionalGeneration(config), transformers.PaddleOCRVLProcessor(images, words)


def video_llama_3() -> Built:
    """VideoLLaMA 3: a tower with rows and columns, and Qwen2, which counts image tokens as words."""
    words = _words()
    tower = vision()
    del tower["image_size"]
    config = transformers.VideoLlama3Config(
        text_config=transformers.Qwen2Config(**text(words)), vision_config=tower, **_tokens(words)
    )
    images = transformers.VideoLlama3ImageProcessor(patch_size=PATCH, merge_size=2, min_pixels=LEAST, max_pixels=MOST)
    processor = transformers.VideoLlama3Processor(images, words, transformers.VideoLlama3VideoProcessor())
    return transformers.VideoLlama3ForConditionalGeneration(config), processor


FAMILIES = [
    Family("EXAONE 4.5", exaone4_5, SOME_WINDOWS),
    Family("PaddleOCR-VL", paddleocr_vl, NATIVE),
    Family("VideoLLaMA 3", video_llama_3, NATIVE),
]
