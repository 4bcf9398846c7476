"""Families that take a picture in its own shape, which decides how many tokens it has and often their positions."""

from collections.abc import Mapping
from typing import Any

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import BEGIN, END, PATCH, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import IN_BLOCKS, NATIVE, Family

# Pictures of 4 to 16 merged patches.
LEAST, MOST = (4 * PATCH) ** 2, (8 * PATCH) ** 2
PATCHES = {"patch_size": PATCH, "temporal_patch_size": 2}
VIDEO = ("<begin-video>", "<end-video>")


def _config(
    config_class: type, words: PreTrainedTokenizerFast, tower: Mapping[str, Any], **marks: str
) -> transformers.PreTrainedConfig:
    """A configuration with positions by time, row and column. ``marks`` are tokens by the names of their ids."""
    rope = {"rope_type": "default", "type": "mrope", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    shape = {"depth": 2, "num_heads": 2, "spatial_merge_size": 2}
    return config_class(
        text_config=text(words, head_dim=16, rope_parameters=rope),
        vision_config=PATCHES | shape | tower,
        image_token_id=image_token(words),
        video_token_id=words.video_token_id,
        **{name: words.convert_tokens_to_ids(token) for name, token in marks.items()},
    )


def _qwen(config_class: type, model_class: type, processor_class: type, videos: Any, **tower: Any) -> Built:
    words = tokenizer(*VIDEO, image_token="<image>", video_token="<video>")
    config = _config(config_class, words, tower, vision_start_token_id=BEGIN, vision_end_token_id=END)
    images = transformers.Qwen2VLImageProcessor(**PATCHES, merge_size=2, min_pixels=LEAST, max_pixels=MOST)
    return model_class(config), processor_class(images, words, videos)


def qwen2_vl() -> Built:
    """Qwen2-VL: positions by time, row and column."""
    return _qwen(
        transformers.Qwen2VLConfig,
        transformers.Qwen2VLForConditionalGeneration,
        transformers.Qwen2VLProcessor,
        transformers.Qwen2VLVideoProcessor(),
        **{"embed_dim": 32, "hidden_size": WIDTH, "mlp_ratio": 2},
    )


def qwen2_5_vl() -> Built:
    """Qwen2.5-VL: the same with windows in its vision tower."""
    return _qwen(
        transformers.Qwen2_5_VLConfig,
        transformers.Qwen2_5_VLForConditionalGeneration,
        transformers.Qwen2_5_VLProcessor,
        transformers.Qwen2VLVideoProcessor(),
        **{"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": WIDTH},
        **{"fullatt_block_indexes": [1], "window_size": 56},
    )


def qwen3_vl() -> Built:
    """Qwen3-VL: adds features of the vision tower to the image tokens behind the first blocks."""
    return _qwen(
        transformers.Qwen3VLConfig,
        transformers.Qwen3VLForConditionalGeneration,
        transformers.Qwen3VLProcessor,
        transformers.Qwen3VLVideoProcessor(),
        **{"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": WIDTH},
        **{"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
    )


def glm4v() -> Built:
    """GLM-4V: positions by row and column, norms before and behind each part of a block."""
    # Its processor looks for the marks of a video by names of its own.
    marks = ("<|begin_of_video|>", "<|end_of_video|>")
    words = tokenizer(*marks, image_token="<image>", video_token="<video>")
    config = _config(
        transformers.Glm4vConfig,
        words,
        {"hidden_size": 32, "intermediate_size": 64, "out_hidden_size": WIDTH, "image_size": 112},
        image_start_token_id=BEGIN,
        image_end_token_id=END,
        video_start_token_id=marks[0],
        video_end_token_id=marks[1],
    )
    # It counts the pixels of two frames.
    size = {"shortest_edge": 2 * LEAST, "longest_edge": 2 * MOST}
    images = transformers.Glm4vImageProcessor(**PATCHES, merge_size=2, size=size)
    processor = transformers.Glm4vProcessor(images, words, transformers.Glm4vVideoProcessor())
    return transformers.Glm4vForConditionalGeneration(config), processor


def mistral3() -> Built:
    """Mistral 3: Pixtral's tower, four neighbouring patches to a token, a token at the end of each row."""
    words = tokenizer("[IMG_BREAK]", "[IMG_END]")
    config = transformers.Mistral3Config(
        vision_config=transformers.PixtralVisionConfig(**vision(image_size=12 * PATCH)),
        text_config=transformers.MistralConfig(**text(words, head_dim=16, sliding_window=None)),
        image_token_index=image_token(words),
        spatial_merge_size=2,
    )
    size = {"size": {"longest_edge": 8 * PATCH}, "patch_size": {"height": PATCH, "width": PATCH}}
    processor = transformers.PixtralProcessor(
        transformers.PixtralImageProcessor(**size),
        words,
        patch_size=PATCH,
        spatial_merge_size=2,
        image_token="<image>",
    )
    return transformers.Mistral3ForConditionalGeneration(config), processor


FAMILIES = [
    Family("Qwen2-VL", qwen2_vl, NATIVE),
    Family("Qwen2.5-VL", qwen2_5_vl, NATIVE),
    Family(
        "Qwen3-VL",
        qwen3_vl,
        IN_BLOCKS,
        note="after each of the first blocks, features of the vision tower are added to the image tokens; a block's "
        "output is read before that, as in `output_hidden_states`, so image tokens enter the next block with another "
        "state",
    ),
    Family("GLM-4V", glm4v, NATIVE),
    Family("Mistral 3", mistral3, NATIVE),
]
