"""Idefics and SmolVLM: pictures in parts, each with few tokens."""

import transformers
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.families.standin import (
    BEGIN,
    END,
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

# Where in the grid of parts a part stands.
PARTS = [f"<row_{i}_col_{j}>" for i in range(1, 7) for j in range(1, 7)]


def _idefics(config_class: type, model_class: type, words: PreTrainedTokenizerFast | None = None) -> Built:
    words = words or tokenizer()
    config = config_class(
        vision_config=vision(),
        text_config=transformers.LlamaConfig(**text(words)).to_dict(),
        image_token_id=image_token(words),
        scale_factor=2,
        pad_token_id=words.pad_token_id,
    )

    def tensors(image: Image.Image) -> dict[str, Tensor]:
        return {"pixel_values": pixels(image)[None, None]}

    return model_class(config), StandInProcessor(words, tensors, lambda _: 4, BEGIN, END)


def idefics2() -> Built:
    """Idefics2 with its own processor: a resampler makes 8 tokens of any picture."""
    words = tokenizer()
    size = {"shortest_edge": SIDE // 2, "longest_edge": SIDE}
    images = transformers.Idefics2ImageProcessorPil(size=size, do_image_splitting=False)
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


def idefics3(words: PreTrainedTokenizerFast | None = None) -> Built:
    """Idefics3."""
    return _idefics(transformers.Idefics3Config, transformers.Idefics3ForConditionalGeneration, words)


def idefics3_own() -> Built:
    """Idefics3 with its own processor, which cuts the picture into parts."""
    words = tokenizer("<fake_token_around_image>", "<global-img>", *PARTS)
    size = {"size": {"longest_edge": 2 * SIDE}, "max_image_size": {"longest_edge": SIDE}}
    processor = transformers.Idefics3Processor(transformers.Idefics3ImageProcessorPil(**size), words, image_seq_len=4)
    return idefics3(words)[0], processor


def smolvlm(words: PreTrainedTokenizerFast | None = None) -> Built:
    """SmolVLM."""
    return _idefics(transformers.SmolVLMConfig, transformers.SmolVLMForConditionalGeneration, words)
