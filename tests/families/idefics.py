"""Idefics and SmolVLM: pictures in parts, each with few tokens."""

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import SIDE, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import QUERIES, TILES_IN_TEXT, Family

# Where in the grid of parts a part stands.
PARTS = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]
SIZE = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}


def idefics2() -> Built:
    """Idefics2: a resampler makes 8 tokens of any picture."""
    words = tokenizer()
    size = {"shortest_edge": SIDE // 2, "longest_edge": SIDE}
    images = transformers.Idefics2ImageProcessor(size=size, do_image_splitting=False)
    processor = transformers.Idefics2Processor(images, words, image_seq_len=8)
    config = transformers.Idefics2Config(
        vision_config=vision(),
        perceiver_config={
            "hidden_size": WIDTH,
            "resampler_n_latents": 8,
            "resampler_depth": 1,
            "resampler_n_heads": 2,
            "resampler_head_dim": 16,
            "num_key_value_heads": 1,
        },
        text_config=transformers.MistralConfig(**text(words, sliding_window=None)).to_dict(),
        image_token_id=image_token(words),
    )
    return transformers.Idefics2ForConditionalGeneration(config), processor


def _shape(words: PreTrainedTokenizerFast) -> dict[str, object]:
    return {
        "vision_config": vision(),
        "text_config": transformers.LlamaConfig(**text(words)).to_dict(),
        "image_token_id": image_token(words),
        "scale_factor": 2,
        "pad_token_id": words.pad_token_id,
    }


def idefics3() -> Built:
    """Idefics3, which cuts the picture into parts."""
    words = tokenizer("<fake_token_around_image>", "<global-img>", *PARTS)
    processor = transformers.Idefics3Processor(transformers.Idefics3ImageProcessor(**SIZE), words, image_seq_len=4)
    config = transformers.Idefics3Config(**_shape(words))
    return transformers.Idefics3ForConditionalGeneration(config), processor


def smolvlm() -> Built:
    """SmolVLM, which cuts the picture into parts."""
    words = tokenizer("<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<video>", *PARTS)
    images, videos = transformers.SmolVLMImageProcessor(**SIZE), transformers.SmolVLMVideoProcessor()
    processor = transformers.SmolVLMProcessor(images, words, videos, image_seq_len=4)
    config = transformers.SmolVLMConfig(**_shape(words))
    return transformers.SmolVLMForConditionalGeneration(config), processor


FAMILIES = [
    Family("Idefics2", idefics2, QUERIES),
    Family("Idefics3", idefics3, TILES_IN_TEXT),
    Family("SmolVLM", smolvlm, TILES_IN_TEXT),
]
