"""LLaVA and its kin: a vision tower, a projector, a causal decoder, the image's tokens in a row before the text."""

import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from tests.families.standin import (
    BEGIN,
    END,
    PATCH,
    PINPOINTS,
    SIDE,
    Built,
    StandInProcessor,
    image_token,
    pixels,
    plain_pixels,
    siglip,
    text,
    tokenizer,
    vision,
)


def llava(
    decoder: transformers.PreTrainedConfig | None = None, words: PreTrainedTokenizerFast | None = None, **tower: int
) -> Built:
    """LLaVA-1.5: 16 image tokens."""
    words = words or tokenizer()
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision(**tower)),
        text_config=decoder or transformers.LlamaConfig(**text(words)),
        image_token_index=image_token(words),
        image_seq_length=16,
    )
    return transformers.LlavaForConditionalGeneration(config), StandInProcessor(words, plain_pixels, lambda _: 16)


def llava_own(**tower: int) -> Built:
    """LLaVA-1.5 with its own processor."""
    words = tokenizer()
    return llava(words=words, **tower)[0], _llava_processor(words)


def _llava_processor(words: PreTrainedTokenizerFast) -> transformers.LlavaProcessor:
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    images = transformers.CLIPImageProcessorPil(**size)
    strategy = {"vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
    return transformers.LlavaProcessor(images, words, patch_size=PATCH, **strategy)


def llava_sliding() -> Built:
    """LLaVA on Mistral, whose layers all see a window that is shorter than the image."""
    return llava(transformers.MistralConfig(**text(tokenizer(), sliding_window=12)))


def llava_mixed_windows() -> Built:
    """LLaVA on Qwen2 in which some layers see a window."""
    more = {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1}
    return llava(transformers.Qwen2Config(**text(tokenizer(), **more)))


def vipllava() -> Built:
    """ViP-LLaVA with LLaVA's own processor: LLaVA over several layers of its vision tower."""
    words = tokenizer()
    config = transformers.VipLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_index=image_token(words),
        vision_feature_layer=[-2, -1, 0],
        image_seq_length=16,
    )
    return transformers.VipLlavaForConditionalGeneration(config), _llava_processor(words)


def _parts(image: Image.Image) -> dict[str, Tensor]:
    """The whole picture and two parts, as both picture shapes of ``PINPOINTS`` have."""
    parts = torch.stack([pixels(image), pixels(image).flip(1), pixels(image).flip(2)])
    return {"pixel_values": parts[None], "image_sizes": torch.tensor([[image.height, image.width]])}


def llava_next(words: PreTrainedTokenizerFast | None = None) -> Built:
    """LLaVA-NeXT: the whole picture and a grid of parts; how many tokens depends on its shape."""
    words = words or tokenizer()
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_index=image_token(words),
        image_grid_pinpoints=PINPOINTS,
    )
    model = transformers.LlavaNextForConditionalGeneration(config)

    def tokens(image: Image.Image) -> int:
        with torch.no_grad():
            features = model.base_model.get_image_features(
                **_parts(image), vision_feature_layer=-2, vision_feature_select_strategy="default"
            )
        return sum(len(part) for part in getattr(features, "pooler_output", features))

    return model, StandInProcessor(words, _parts, tokens)


def llava_next_own() -> Built:
    """LLaVA-NeXT with its own processor."""
    words = tokenizer()
    size = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
    images = transformers.LlavaNextImageProcessorPil(**size, image_grid_pinpoints=PINPOINTS)
    processor = transformers.LlavaNextProcessor(
        images, words, patch_size=PATCH, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return llava_next(words)[0], processor


def llava_onevision(words: PreTrainedTokenizerFast | None = None) -> Built:
    """LLaVA-OneVision: SigLIP and Qwen2, a grid of parts with a token at the end of each row."""
    words = words or tokenizer()
    config = transformers.LlavaOnevisionConfig(
        vision_config=siglip(),
        text_config=transformers.Qwen2Config(**text(words)),
        image_token_index=image_token(words),
        video_token_index=words.eos_token_id,
        image_grid_pinpoints=PINPOINTS,
    )
    model = transformers.LlavaOnevisionForConditionalGeneration(config)

    def tokens(image: Image.Image) -> int:
        with torch.no_grad():
            features = model.base_model.get_image_features(
                **_parts(image), vision_feature_layer=-1, vision_feature_select_strategy="full"
            )
        return sum(len(part) for part in features.pooler_output)

    return model, StandInProcessor(words, _parts, tokens)


def internvl(words: PreTrainedTokenizerFast | None = None) -> Built:
    """InternVL on Qwen2, with a token on either side of the image."""
    words = words or tokenizer()
    config = transformers.InternVLConfig(
        vision_config=vision(image_size=[SIDE, SIDE], patch_size=[PATCH, PATCH]),
        text_config=transformers.Qwen2Config(**text(words)).to_dict(),
        image_token_id=image_token(words),
        image_seq_length=4,
    )
    model = transformers.InternVLForConditionalGeneration(config)
    return model, StandInProcessor(words, plain_pixels, lambda _: 4, BEGIN, END)
