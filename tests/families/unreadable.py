"""Families that cannot be read, or only one input at a time."""

import torch
import transformers
from PIL import Image
from torch import Tensor

from tests.families.gemma import gemma3
from tests.families.standin import (
    BEGIN,
    END,
    PATCH,
    SIDE,
    WIDTH,
    Built,
    StandInProcessor,
    image_token,
    pixels,
    text,
    tokenizer,
    vision,
)


def hunyuan_vl() -> Built:
    """HunYuan-VL: numbers the pictures of a batch through, and turns queries and keys by that number.

    A stand-in prepares its inputs, as its own processor needs torchvision.
    """
    words = tokenizer()
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 2, 2, 2]}
    config = transformers.HunYuanVLConfig(
        text_config=text(words, head_dim=16, rope_parameters=rope),
        vision_config=vision(patch_size=PATCH, spatial_merge_size=2, text_hidden_size=WIDTH, out_hidden_size=WIDTH)
        | {"max_image_size": SIDE},
        image_token_id=image_token(words),
        im_start_id=words.convert_tokens_to_ids(BEGIN),
        im_end_id=words.convert_tokens_to_ids(END),
    )
    side = SIDE // PATCH

    def patches(image: Image.Image) -> dict[str, Tensor]:
        cut = pixels(image).unfold(1, PATCH, PATCH).unfold(2, PATCH, PATCH)
        values = cut.permute(1, 2, 0, 3, 4).reshape(side * side, 3 * PATCH * PATCH)
        return {"pixel_values": values, "image_grid_thw": torch.tensor([[1, side, side]])}

    # A token ends each row of merged patches, and one stands on either side of them all.
    tokens = (side // 2) * (side // 2 + 1) + 2
    model = transformers.HunYuanVLForConditionalGeneration(config)
    return model, StandInProcessor(words, patches, lambda _: tokens, BEGIN, END, "mm_token_type_ids")


def shieldgemma2() -> Built:
    """ShieldGemma 2 with its own processor, which asks three questions of its own about each picture."""
    names = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<soft>"}
    words = tokenizer(**names)
    images = transformers.Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    template = "{{ bos_token }}{% for part in messages[0]['content'] %}"
    template += "{% if part['type'] == 'image' %}<boi>{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    parts = gemma3(words, "<soft>")[0].config.to_dict()
    config = transformers.ShieldGemma2Config.from_dict({k: v for k, v in parts.items() if k != "model_type"})
    processor = transformers.ShieldGemma2Processor(images, words, template, image_seq_length=16)
    # As it is loaded: without the head that answers yes or no.
    return transformers.AutoModelForImageTextToText.from_config(config), processor
