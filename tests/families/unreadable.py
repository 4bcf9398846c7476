"""Families that cannot be read, or only one input at a time."""

import transformers

from tests.families.gemma import gemma3
from tests.families.standin import BEGIN, END, PATCH, SIDE, WIDTH, Built, image_token, text, tokenizer, vision


def _template(image: str) -> str:
    """A chat template that writes ``image`` for a picture, and nothing between the parts."""
    template = "{{ bos_token }}{% for part in messages[0]['content'] %}"
    return (
        template
        + f"{{% if part['type'] == 'image' %}}{image}{{% else %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}"
    )


def hunyuan_vl() -> Built:
    """HunYuan-VL: numbers the pictures of a batch through, and turns queries and keys by that number."""
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
    size = {"shortest_edge": SIDE**2, "longest_edge": (2 * SIDE) ** 2}
    images = transformers.HunYuanVLImageProcessor(patch_size=PATCH, size=size)
    processor = transformers.HunYuanVLProcessor(images, words, chat_template=_template(f"{BEGIN}<image>{END}"))
    return transformers.HunYuanVLForConditionalGeneration(config), processor


def shieldgemma2() -> Built:
    """ShieldGemma 2, whose processor asks three questions of its own about each picture."""
    model, plain = gemma3()
    parts = model.config.to_dict()
    config = transformers.ShieldGemma2Config.from_dict({k: v for k, v in parts.items() if k != "model_type"})
    processor = transformers.ShieldGemma2Processor(
        plain.image_processor, plain.tokenizer, _template("<boi>"), image_seq_length=16
    )
    # As it is loaded: without the head that answers yes or no.
    return transformers.AutoModelForImageTextToText.from_config(config), processor
