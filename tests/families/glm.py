"""GLM's later families with pictures: positions by row and column, as GLM-4V has them."""

from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import BEGIN, END, PATCH, WIDTH, Built, image_token, text, tokenizer
from tests.families.family import NATIVE, SOME_EXPERTS, Family

# Their processors count the pixels of two frames. Pictures have 4 to 16 tokens.
SIZE = {"shortest_edge": 2 * (4 * PATCH) ** 2, "longest_edge": 2 * (8 * PATCH) ** 2}
PATCHES = {"patch_size": PATCH, "merge_size": 2, "temporal_patch_size": 2}
# Half of each head is rotated.
ROPE = {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
VIDEO = ("<|begin_of_video|>", "<|end_of_video|>")
TOWER = {
    "depth": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_heads": 2,
    "out_hidden_size": WIDTH,
    "image_size": 112,
    "patch_size": PATCH,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}


def _words() -> PreTrainedTokenizerFast:
    return tokenizer(*VIDEO, image_token="<image>", video_token="<video>")


def _config(config_class: type, words: PreTrainedTokenizerFast, **decoder: Any) -> transformers.PreTrainedConfig:
    names = ("image_start_token_id", "image_end_token_id", "video_start_token_id", "video_end_token_id")
    return config_class(
        text_config=text(words, head_dim=16, rope_parameters=ROPE) | decoder,
        vision_config=TOWER,
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        **dict(zip(names, words.convert_tokens_to_ids([BEGIN, END, *VIDEO]), strict=True)),
    )


def _glm4v_processor(words: PreTrainedTokenizerFast) -> transformers.Glm4vProcessor:
    images = transformers.Glm4vImageProcessor(**PATCHES, size=SIZE)
    return transformers.Glm4vProcessor(images, words, transformers.Glm4vVideoProcessor())


def glm46v() -> Built:
    """GLM-4.6V: GLM-4V's parts."""
    words = _words()
    images = transformers.Glm46VImageProcessor(**PATCHES, size=SIZE)
    processor = transformers.Glm46VProcessor(images, words, transformers.Glm46VVideoProcessor())
    return transformers.Glm46VForConditionalGeneration(_config(transformers.Glm46VConfig, words)), processor


def glmga() -> Built:
    """GLM-GA: GLM-4.6V with an image processor of its own."""
    words = _words()
    # Sides are even numbers of tokens: 24 tokens for a picture.
    size = {"shortest_edge": 2 * (8 * PATCH) ** 2, "longest_edge": 2 * (12 * PATCH) ** 2}
    images = transformers.GlmgaImageProcessor(**PATCHES, size=size, patch_expand_factor=2)
    processor = transformers.Glm46VProcessor(images, words, transformers.GlmgaVideoProcessor())
    return transformers.Glm46VForConditionalGeneration(_config(transformers.GlmgaConfig, words)), processor


def glm_ocr() -> Built:
    """GLM-OCR: norms of queries and keys in its tower."""
    words = _words()
    model = transformers.GlmOcrForConditionalGeneration(_config(transformers.GlmOcrConfig, words))
    return model, _glm4v_processor(words)


def glm4v_moe() -> Built:
    """GLM-4.5V: a dense block, then blocks of experts in groups, beside one that all tokens share."""
    words = _words()
    experts = {
        "first_k_dense_replace": 1,
        "moe_intermediate_size": 32,
        "n_routed_experts": 6,
        "n_shared_experts": 1,
        "n_group": 3,
        "topk_group": 2,
        "num_experts_per_tok": 2,
    }
    model = transformers.Glm4vMoeForConditionalGeneration(_config(transformers.Glm4vMoeConfig, words, **experts))
    return model, _glm4v_processor(words)


FAMILIES = [
    Family("GLM-4.6V", glm46v, NATIVE),
    Family("GLM-GA", glmga, NATIVE),
    Family("GLM-OCR", glm_ocr, NATIVE),
    Family("GLM-4.5V", glm4v_moe, SOME_EXPERTS),
]
