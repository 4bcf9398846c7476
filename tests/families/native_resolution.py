"""Families that take a picture in its own shape, which decides how many tokens it has and often their positions."""

from collections.abc import Callable
from typing import Any

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.families.standin import (
    BEGIN,
    END,
    PATCH,
    WIDTH,
    Built,
    StandInProcessor,
    image_token,
    pixels,
    text,
    tokenizer,
    vision,
)


def grid(image: Image.Image) -> tuple[int, int]:
    """Rows and columns of patches. The picture's shape decides, and with it where positions go on behind it."""
    return (8, 4) if image.height > image.width else (4, 12)


def _patches(image: Image.Image) -> dict[str, Tensor]:
    rows, columns = grid(image)
    values = pixels(image).flatten().repeat(rows * columns)
    size = 3 * 2 * PATCH**2
    return {
        "pixel_values": values[: rows * columns * size].view(rows * columns, size),
        "image_grid_thw": torch.tensor([[1, rows, columns]]),
    }


def _merged(image: Image.Image) -> int:
    """Image tokens where four neighbouring patches make one."""
    rows, columns = grid(image)
    return rows * columns // 4


def _by_rows_and_columns(
    config_class: type,
    model_class: type,
    marks: Callable[[PreTrainedTokenizerFast], dict[str, int]],
    words: PreTrainedTokenizerFast | None,
    **tower: Any,
) -> Built:
    words = words or tokenizer("<begin-video>", "<end-video>")
    rope = {"rope_type": "default", "type": "mrope", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = config_class(
        text_config=text(words, head_dim=16, rope_parameters=rope),
        vision_config={"depth": 2, "patch_size": PATCH, "spatial_merge_size": 2, "temporal_patch_size": 2} | tower,
        image_token_id=image_token(words),
        video_token_id=words.eos_token_id,
        **marks(words),
    )
    return model_class(config), StandInProcessor(words, _patches, _merged, BEGIN, END, "mm_token_type_ids")


def _qwen_marks(words: PreTrainedTokenizerFast) -> dict[str, int]:
    begin, end = words.convert_tokens_to_ids([BEGIN, END])
    return {"vision_start_token_id": begin, "vision_end_token_id": end}


def _glm_marks(words: PreTrainedTokenizerFast) -> dict[str, int]:
    names = ("image_start_token_id", "image_end_token_id", "video_start_token_id", "video_end_token_id")
    return dict(zip(names, words.convert_tokens_to_ids([BEGIN, END, "<begin-video>", "<end-video>"]), strict=True))


def qwen2_vl(words: PreTrainedTokenizerFast | None = None) -> Built:
    """Qwen2-VL: positions by time, row and column."""
    tower = {"embed_dim": 32, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2}
    return _by_rows_and_columns(
        transformers.Qwen2VLConfig, transformers.Qwen2VLForConditionalGeneration, _qwen_marks, words, **tower
    )


def qwen2_5_vl(words: PreTrainedTokenizerFast | None = None) -> Built:
    """Qwen2.5-VL: the same with windows in its vision tower."""
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": WIDTH}
    tower |= {"fullatt_block_indexes": [1], "window_size": 56}
    return _by_rows_and_columns(
        transformers.Qwen2_5_VLConfig, transformers.Qwen2_5_VLForConditionalGeneration, _qwen_marks, words, **tower
    )


def qwen3_vl(words: PreTrainedTokenizerFast | None = None) -> Built:
    """Qwen3-VL: adds features of the vision tower to the image tokens behind the first blocks."""
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": WIDTH}
    tower |= {"num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]}
    return _by_rows_and_columns(
        transformers.Qwen3VLConfig, transformers.Qwen3VLForConditionalGeneration, _qwen_marks, words, **tower
    )


def glm4v(words: PreTrainedTokenizerFast | None = None) -> Built:
    """GLM-4V: positions by row and column, norms before and behind each part of a block."""
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": WIDTH, "image_size": 112}
    return _by_rows_and_columns(
        transformers.Glm4vConfig, transformers.Glm4vForConditionalGeneration, _glm_marks, words, **tower
    )


def mistral3(words: PreTrainedTokenizerFast | None = None) -> Built:
    """Mistral 3: Pixtral's tower, four neighbouring patches to a token."""
    words = words or tokenizer()
    config = transformers.Mistral3Config(
        vision_config=transformers.PixtralVisionConfig(**vision(image_size=12 * PATCH)),
        text_config=transformers.MistralConfig(**text(words, head_dim=16, sliding_window=None)),
        image_token_index=image_token(words),
        spatial_merge_size=2,
    )

    def tensors(image: Image.Image) -> dict[str, Tensor]:
        rows, columns = grid(image)
        # Pictures of a batch are padded to the greatest one's size.
        values = torch.zeros(1, 3, 8 * PATCH, 12 * PATCH)
        picture = pixels(image, 12 * PATCH)[:, : rows * PATCH, : columns * PATCH]
        values[0, :, : rows * PATCH, : columns * PATCH] = picture
        return {"pixel_values": values, "image_sizes": torch.tensor([[rows * PATCH, columns * PATCH]])}

    return transformers.Mistral3ForConditionalGeneration(config), StandInProcessor(words, tensors, _merged, "", END)
