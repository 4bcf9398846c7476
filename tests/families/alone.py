"""Families whose pictures are made or counted by the batch, so that each input runs by itself."""

import transformers

from tests.families.standin import (
    BEGIN,
    END,
    PATCH,
    SIDE,
    WIDTH,
    Built,
    image_token,
    text,
    tokenizer,
    vision,
)

# The picture between its marks, then the prompt.
NAMED = {"image_token": "<image>", "video_token": "<video>"}
TEMPLATE = (
    "{{% for part in messages[0]['content'] %}}"
    "{{% if part['type'] == 'image' %}}{image}{{% else %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}"
)


def hunyuan_vl() -> Built:
    """HunYuan-VL with its own processor: numbers the pictures of a batch, and turns queries and keys by that number."""
    words = tokenizer(image_token="<image>", image_start_token=BEGIN, image_end_token=END)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2, 2]}
    config = transformers.HunYuanVLConfig(
        text_config=text(words, head_dim=16, rope_parameters=rope),
        vision_config=vision(patch_size=PATCH, spatial_merge_size=2, text_hidden_size=WIDTH, out_hidden_size=WIDTH)
        | {"max_image_size": 2 * SIDE},
        image_token_id=image_token(words),
        im_start_id=words.convert_tokens_to_ids(BEGIN),
        im_end_id=words.convert_tokens_to_ids(END),
    )
    size = {"shortest_edge": (4 * PATCH) ** 2, "longest_edge": (8 * PATCH) ** 2}
    images = transformers.HunYuanVLImageProcessor(patch_size=PATCH, size=size)
    template = TEMPLATE.format(image=f"{BEGIN}<image>{END}")
    processor = transformers.HunYuanVLProcessor(images, words, chat_template=template)
    return transformers.HunYuanVLForConditionalGeneration(config), processor


def perception_lm() -> Built:
    """Perception LM with its own processor and a tower of timm: tiles beside the whole picture, as many as
    its shape gives."""
    words = tokenizer(**NAMED)
    shape = {"img_size": [20, 20], "patch_size": 10, "embed_dim": 32, "depth": 2, "num_heads": 2}
    config = transformers.PerceptionLMConfig(
        vision_config={
            "model_type": "timm_wrapper",
            "architecture": "vit_pe_core_large_patch14_336",
            "do_pooling": False,
            "model_args": shape | {"global_pool": "", "use_post_transformer_norm": False, "ref_feat_shape": [2, 2]},
            "num_classes": 0,
        },
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        projector_pooling_ratio=2,
        vision_use_cls_token=True,
    )
    images = transformers.PerceptionLMImageProcessor(tile_size=20, max_num_tiles=12)
    processor = transformers.PerceptionLMProcessor(
        transformers.PerceptionLMVideoProcessor(), images, words, patch_size=10, pooling_ratio=2
    )
    config.vision_config.hidden_size = 32
    return transformers.PerceptionLMForConditionalGeneration(config), processor


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
        transformers.MiniCPMV4_6Config, transformers.MiniCPMV4_6Processor, transformers.MiniCPMV4_6ForConditionalGeneration
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
