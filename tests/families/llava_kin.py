"""Families that follow LLaVA's plan and are configured on their own: for videos, or on a convolutional tower."""

import transformers
from timm.models.fastvit import LayerScale2d
from torch import nn

from tests.families.common import PATCH, PINPOINTS, SIDE, Built, image_token, text, tokenizer, vision
from tests.families.family import PROJECTOR, TILES, Family

# How LLaVA's processors count the tokens of a tower with a class token that is left out.
COUNTED = {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
SIZE = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}


def llava_next_video() -> Built:
    """LLaVA-NeXT-Video: LLaVA-NeXT for pictures."""
    words = tokenizer("<video>")
    config = transformers.LlavaNextVideoConfig(
        vision_config=transformers.CLIPVisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_index=image_token(words),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=PINPOINTS,
    )
    processor = transformers.LlavaNextVideoProcessor(
        transformers.LlavaNextVideoVideoProcessor(),
        transformers.LlavaNextImageProcessor(**SIZE, image_grid_pinpoints=PINPOINTS),
        words,
        **COUNTED,
    )
    return transformers.LlavaNextVideoForConditionalGeneration(config), processor


def video_llava() -> Built:
    """Video-LLaVA: a tower for pictures beside one for videos."""
    words = tokenizer("<video>")
    config = transformers.VideoLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_index=image_token(words),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_seq_length=16,
    )
    processor = transformers.VideoLlavaProcessor(
        transformers.VideoLlavaImageProcessor(**SIZE), transformers.VideoLlavaVideoProcessor(), words, **COUNTED
    )
    return transformers.VideoLlavaForConditionalGeneration(config), processor


def fast_vlm() -> Built:
    """FastVLM: convolutions that make a token of 64 x 64 pixels, with LLaVA's processor."""
    words = tokenizer()
    side, patch = 128, 64
    config = transformers.FastVlmConfig(
        vision_config=transformers.TimmWrapperConfig(
            architecture="fastvit_mci3",
            do_pooling=True,
            hidden_size=64,
            model_args={
                "inference_mode": True,
                "layers": [1, 1, 1, 1, 1],
                "embed_dims": [8, 16, 16, 32, 32],
            },
        ),
        text_config=transformers.Qwen2Config(**text(words)),
        image_token_index=image_token(words),
        image_seq_length=(side // patch) ** 2,
    )
    images = transformers.CLIPImageProcessor(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    processor = transformers.LlavaProcessor(
        images, words, patch_size=patch, vision_feature_select_strategy="full", num_additional_image_tokens=0
    )
    model = transformers.FastVlmForConditionalGeneration(config)
    # timm draws weights so small that a tiny tower loses the picture.
    for module in model.model.vision_tower.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, LayerScale2d):
            nn.init.ones_(module.gamma)
    return model, processor


FAMILIES = [
    Family("LLaVA-NeXT-Video", llava_next_video, TILES),
    Family("Video-LLaVA", video_llava, PROJECTOR),
    Family("FastVLM", fast_vlm, PROJECTOR),
]
