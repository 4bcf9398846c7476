"""Molmo 2: crops that overlap, and image tokens of seven kinds that see one another both ways."""

import transformers

from tests.families.common import SIDE, WIDTH, Built, text, tokenizer, vision
from tests.families.family import IMAGE_BOTH_WAYS, Family

# What the processor writes for a picture, besides its patches.
MARKS = ("<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<frame_start>", "<im_end>", "<frame_end>")


def molmo2() -> Built:
    """Molmo 2 with its own processor: a small view of the picture, then its crops."""
    words = tokenizer(*MARKS, "<im_low>", "<|video|>", image_token="<image>")
    size = {"size": {"height": SIDE, "width": SIDE}, "max_crops": 2, "overlap_margins": [1, 1]}
    processor = transformers.Molmo2Processor(
        transformers.Molmo2ImageProcessor(**size),
        transformers.Molmo2VideoProcessor(),
        words,
        chat_template=None,
    )
    tower = vision(num_key_value_heads=2, head_dim=16) | {"image_size": [SIDE, SIDE]}
    patch, _, start, low, frame, end, frame_end = words.convert_tokens_to_ids(list(MARKS))
    config = transformers.Molmo2Config(
        vision_config=transformers.Molmo2VisionConfig(**tower),
        adapter_config=transformers.Molmo2AdapterConfig(
            vision_feature_layer=[1, 0],
            hidden_size=32,
            num_attention_heads=2,
            num_key_value_heads=2,
            head_dim=16,
            intermediate_size=64,
            text_hidden_size=WIDTH,
        ),
        text_config=transformers.Molmo2TextConfig(**text(words, head_dim=16, additional_vocab_size=8)),
        image_patch_id=patch,
        image_start_token_id=start,
        low_res_image_start_token_id=low,
        image_end_token_id=end,
        frame_start_token_id=frame,
        frame_end_token_id=frame_end,
    )
    return transformers.Molmo2ForConditionalGeneration(config), processor


FAMILIES = [
    Family(
        "Molmo 2",
        molmo2,
        IMAGE_BOTH_WAYS,
        note="its processor writes the begin token; the tokens that frame the image also see it both ways, so cutting "
        "attention to the image's tokens does not keep the image from the text",
    )
]
