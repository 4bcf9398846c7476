"""MiniCPM-V 4.6 and 4.7: slices beside the whole picture, and a decoder with blocks of linear attention."""

import transformers

from tests.families.alone import NAMED
from tests.families.common import Built, image_token, text, tokenizer, vision
from tests.families.family import RECURRENT, TILES_IN_TEXT, Family


def _minicpm(config_class: type, processor_class: type, model_class: type, **ids: int) -> Built:
    names = ("image_start", "image_end", "slice_start", "slice_end", "image_id_start", "image_id_end")
    words = tokenizer(**NAMED, **{f"{name}_token": f"<{name}>" for name in names})
    # Four tokens for the whole picture and for each slice.
    size = {"scale_resolution": 32, "max_slice_nums": 4, "patch_size": 4}
    parts = (transformers.MiniCPMV4_6ImageProcessor(**size), transformers.MiniCPMV4_6VideoProcessor(**size))
    kinds = ["linear_attention", "full_attention", "linear_attention"]
    linear = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8}
    config = config_class(
        vision_config=vision(num_hidden_layers=3, image_size=32, patch_size=4),
        text_config=transformers.Qwen3_5TextConfig(
            **text(words, head_dim=16, layer_types=kinds, linear_value_head_dim=8, **linear)
        ),
        insert_layer_id=1,
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        **{key: words.convert_tokens_to_ids(token) for key, token in ids.items()},
    )
    return model_class(config), processor_class(*parts, words)


def minicpmv4_6() -> Built:
    """MiniCPM-V 4.6 with its own processor: slices beside the picture, and blocks of linear attention."""
    return _minicpm(
        transformers.MiniCPMV4_6Config,
        transformers.MiniCPMV4_6Processor,
        transformers.MiniCPMV4_6ForConditionalGeneration,
    )


def minicpmv4_7() -> Built:
    """MiniCPM-V 4.7: the same with positions by row and column over picture and slices."""
    return _minicpm(
        transformers.MiniCPMV4_7Config,
        transformers.MiniCPMV4_7Processor,
        transformers.MiniCPMV4_7ForConditionalGeneration,
        image_start_id="<image_start>",
        image_end_id="<image_end>",
        slice_start_id="<slice_start>",
        slice_end_id="<slice_end>",
        newline_id="\n",
    )


FAMILIES = [
    Family("MiniCPM-V 4.6", minicpmv4_6, TILES_IN_TEXT, not_shared=RECURRENT),
    Family("MiniCPM-V 4.7", minicpmv4_7, TILES_IN_TEXT, not_shared=RECURRENT),
]
