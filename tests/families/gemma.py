"""PaliGemma and Gemma 3: decoders that look both ways over the image, or over the image and the prompt."""

import transformers

from tests.families.common import SIDE, WIDTH, Built, siglip, text, tokenizer
from tests.families.family import BOTH_WAYS, IMAGE_BOTH_WAYS, Family


def gemma3() -> Built:
    """Gemma 3: image tokens see one another both ways, layers with and without a window, blank lines around it."""
    words = tokenizer(boi_token="<boi>", eoi_token="<eoi>", image_token="<soft>")
    config = transformers.Gemma3Config(
        vision_config=siglip(),
        text_config=transformers.Gemma3TextConfig(**text(words, head_dim=16, sliding_window=12)),
        image_token_index=words.image_token_id,
        mm_tokens_per_image=16,
        boi_token_index=words.boi_token_id,
        eoi_token_index=words.eoi_token_id,
    )
    config.text_config.layer_types = ["sliding_attention", "full_attention", "sliding_attention"]
    images = transformers.Gemma3ImageProcessor(size={"height": SIDE, "width": SIDE})
    processor = transformers.Gemma3Processor(images, words, image_seq_length=16)
    return transformers.Gemma3ForConditionalGeneration(config), processor


def paligemma() -> Built:
    """PaliGemma: the whole prompt attends to itself both ways, so the image's states depend on the text."""
    images = transformers.SiglipImageProcessor(size={"height": SIDE, "width": SIDE})
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


FAMILIES = [
    Family(
        "PaliGemma",
        paligemma,
        BOTH_WAYS,
        not_shared="image and prompt attend to one another both ways",
        needs_image=True,
        note="its processor ends every prompt with a newline, which is the last token",
    ),
    Family("Gemma 3", gemma3, IMAGE_BOTH_WAYS),
]
