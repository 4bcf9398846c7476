"""LLaVA and its kin: a vision tower, a projector, a causal decoder, the image's tokens in a row before the text."""

import transformers
from transformers import PreTrainedTokenizerFast

from tests.families.common import (
    BEGIN,
    END,
    PATCH,
    PINPOINTS,
    SIDE,
    Built,
    image_token,
    siglip,
    text,
    tokenizer,
    vision,
)
from tests.families.family import PROJECTOR, SOME_WINDOWS, TILES, WINDOWS, Family

SIZE = {"size": {"shortest_edge": SIDE}, "crop_size": {"height": SIDE, "width": SIDE}}
# CLIP's class token is not among the image's.
PATCHES = {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}


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
    return transformers.LlavaForConditionalGeneration(config), _llava_processor(words)


def _llava_processor(words: PreTrainedTokenizerFast) -> transformers.LlavaProcessor:
    return transformers.LlavaProcessor(transformers.CLIPImageProcessor(**SIZE), words, **PATCHES)


def llava_sliding() -> Built:
    """LLaVA on Mistral, whose layers all see a window that is shorter than the image."""
    return llava(transformers.MistralConfig(**text(tokenizer(), sliding_window=12)))


def llava_mixed_windows() -> Built:
    """LLaVA on Qwen2 in which some layers see a window."""
    more = {"use_sliding_window": True, "sliding_window": 12, "max_window_layers": 1}
    return llava(transformers.Qwen2Config(**text(tokenizer(), **more)))


def vipllava() -> Built:
    """ViP-LLaVA with LLaVA's processor: LLaVA over several layers of its vision tower."""
    words = tokenizer()
    config = transformers.VipLlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_index=image_token(words),
        vision_feature_layer=[-2, -1, 0],
        image_seq_length=16,
    )
    return transformers.VipLlavaForConditionalGeneration(config), _llava_processor(words)


def llava_next() -> Built:
    """LLaVA-NeXT: the whole picture and a grid of parts; how many tokens depends on its shape."""
    words = tokenizer()
    config = transformers.LlavaNextConfig(
        vision_config=transformers.CLIPVisionConfig(**vision()),
        text_config=transformers.LlamaConfig(**text(words)),
        image_token_index=image_token(words),
        image_grid_pinpoints=PINPOINTS,
    )
    images = transformers.LlavaNextImageProcessor(**SIZE, image_grid_pinpoints=PINPOINTS)
    processor = transformers.LlavaNextProcessor(images, words, **PATCHES)
    return transformers.LlavaNextForConditionalGeneration(config), processor


def llava_onevision() -> Built:
    """LLaVA-OneVision: SigLIP and Qwen2, a grid of parts with a token at the end of each row."""
    words = tokenizer("<video>")
    config = transformers.LlavaOnevisionConfig(
        vision_config=siglip(),
        text_config=transformers.Qwen2Config(**text(words)),
        image_token_index=image_token(words),
        video_token_index=words.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=PINPOINTS,
    )
    processor = transformers.LlavaOnevisionProcessor(
        transformers.LlavaOnevisionImageProcessor(size={"height": SIDE, "width": SIDE}, image_grid_pinpoints=PINPOINTS),
        words,
        transformers.LlavaOnevisionVideoProcessor(),
        num_image_tokens=(SIDE // PATCH) ** 2,
        vision_feature_select_strategy="full",
    )
    return transformers.LlavaOnevisionForConditionalGeneration(config), processor


def internvl() -> Built:
    """InternVL on Qwen2: the picture in parts, with a token on either side of them."""
    words = tokenizer(
        start_image_token=BEGIN, end_image_token=END, context_image_token="<image>", video_token="<video>"
    )
    config = transformers.InternVLConfig(
        vision_config=vision(image_size=[SIDE, SIDE], patch_size=[PATCH, PATCH]),
        text_config=transformers.Qwen2Config(**text(words)).to_dict(),
        image_token_id=image_token(words),
        image_seq_length=4,
    )
    images = transformers.GotOcr2ImageProcessor(
        size={"height": SIDE, "width": SIDE}, crop_to_patches=True, max_patches=2
    )
    processor = transformers.InternVLProcessor(images, words, transformers.InternVLVideoProcessor(), image_seq_length=4)
    return transformers.InternVLForConditionalGeneration(config), processor


def pp_chart2table() -> Built:
    """PP-Chart2Table: SAM's tower on Qwen2. Its chat template writes all of the image's tokens, always as many."""
    words = tokenizer("<imgpad>")
    # By default the tower's weights are all but zero.
    tower = {"image_size": 64, "patch_size": 4, "hidden_size": 32, "output_channels": 16, "initializer_range": 0.02}
    config = transformers.PPChart2TableConfig(
        vision_config=tower
        | {
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "mlp_dim": 64,
            "window_size": 8,
            "global_attn_indexes": [1],
        },
        text_config=transformers.Qwen2Config(**text(words)).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<imgpad>"),
    )
    template = f"{{% for part in messages[0]['content'] %}}{{% if part['type'] == 'image' %}}{'<imgpad>' * 16}"
    template += "{% else %}{{ part['text'] }}{% endif %}{% endfor %}"
    processor = transformers.PPChart2TableProcessor(
        transformers.PPChart2TableImageProcessor(size={"height": 64, "width": 64}), words, chat_template=template
    )
    return transformers.AutoModelForImageTextToText.from_config(config), processor


FAMILIES = [
    Family("LLaVA-1.5", llava, PROJECTOR),
    Family("LLaVA-1.5 on Mistral with a window", llava_sliding, WINDOWS),
    Family("LLaVA-1.5 on Qwen2 with some windows", llava_mixed_windows, SOME_WINDOWS),
    Family("ViP-LLaVA", vipllava, PROJECTOR),
    Family("LLaVA-NeXT", llava_next, TILES),
    Family("LLaVA-OneVision", llava_onevision, TILES),
    Family("InternVL", internvl, PROJECTOR),
    Family(
        "PP-Chart2Table",
        pp_chart2table,
        PROJECTOR,
        note="the vision tower of an untrained twin is blind",
    ),
]
