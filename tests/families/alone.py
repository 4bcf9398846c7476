"""Families whose inputs run one by one: pictures are numbered through a batch, or cannot be put into one."""

import transformers

from tests.families.common import (
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
from tests.families.family import BATCH_DECIDES, NATIVE, NO_BATCH, TILES, Family

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


FAMILIES = [
    # A greater gain amplifies rounding.
    Family(
        "HunYuan-VL",
        hunyuan_vl,
        NATIVE,
        alone=BATCH_DECIDES,
        gain=1.0,
        note="its rotary positions count the pictures of a batch, so inputs run one by one",
    ),
    Family(
        "Perception LM",
        perception_lm,
        TILES,
        alone=NO_BATCH,
        note="its processor cannot batch pictures with different numbers of tiles, so inputs run one by one",
    ),
]
