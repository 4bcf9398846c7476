"""PaliGemma and Gemma 3: decoders that look both ways over the image, or over the image and the prompt."""

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.standin import (
    BEGIN,
    END,
    SIDE,
    WIDTH,
    Built,
    StandInProcessor,
    plain_pixels,
    siglip,
    text,
    tokenizer,
)


def gemma3(words: PreTrainedTokenizerFast | None = None, image_token: str = "<image>") -> Built:
    """Gemma 3: image tokens see one another both ways, layers with and without a window, blank lines around it."""
    words = words or tokenizer()
    config = transformers.Gemma3Config(
        vision_config=siglip(),
        text_config=transformers.Gemma3TextConfig(**text(words, head_dim=16, sliding_window=12)),
        image_token_index=words.convert_tokens_to_ids(image_token),
        mm_tokens_per_image=16,
        boi_token_index=words.convert_tokens_to_ids(BEGIN),
        eoi_token_index=words.convert_tokens_to_ids(END),
    )
    config.text_config.layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
    model = transformers.Gemma3ForConditionalGeneration(config)
    processor = StandInProcessor(words, plain_pixels, lambda _: 16, f"\n\n{BEGIN}", f"{END}\n\n", "token_type_ids")
    return model, processor


def gemma3_own() -> Built:
    """Gemma 3 with its own processor, which writes blank lines around the image."""
    names = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<soft>"}
    words = tokenizer(**names)
    images = transformers.Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE})
    return gemma3(words, "<soft>")[0], transformers.Gemma3Processor(images, words, image_seq_length=16)


def paligemma() -> Built:
    """PaliGemma with its own processor: the whole prompt attends to itself both ways, so the image's states depend on
    the text.
    """
    images = transformers.SiglipImageProcessorPil(size={"height": SIDE, "width": SIDE})
    images.image_seq_length = 16
    processor = transformers.PaliGemmaProcessor(images, tokenizer())
    words = processor.tokenizer
    config = transformers.PaliGemmaConfig(
        vision_config=siglip(projection_dim=WIDTH),
        text_config=transformers.GemmaConfig(**text(words, head_dim=16)),
        image_token_index=words.convert_tokens_to_ids("<image>"),
        projection_dim=WIDTH,
        hidden_size=WIDTH,
    )
    return transformers.PaliGemmaForConditionalGeneration(config), processor
