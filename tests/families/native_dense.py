"""LightOnOCR, HyperCLOVA X Vision and Muse Glimmer: pictures in their own shape before a dense decoder."""

import transformers

from tests.families.common import PATCH, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import NATIVE, Family

# Pictures of 4 to 16 merged patches.
LEAST, MOST = (4 * PATCH) ** 2, (8 * PATCH) ** 2


def lighton_ocr() -> Built:
    """LightOnOCR: Pixtral's tower and Qwen3, four neighbouring patches to a token, no tokens between rows."""
    names = {"image_token": "<image>", "image_break_token": "[IMG_BREAK]", "image_end_token": "[IMG_END]"}
    words = tokenizer(**names)
    config = transformers.LightOnOcrConfig(
        vision_config=transformers.PixtralVisionConfig(**vision(image_size=12 * PATCH)),
        text_config=transformers.Qwen3Config(**text(words, head_dim=16)),
        image_token_id=image_token(words),
    )
    size = {"size": {"longest_edge": 8 * PATCH}, "patch_size": {"height": 2 * PATCH, "width": 2 * PATCH}}
    processor = transformers.LightOnOcrProcessor(
        transformers.PixtralImageProcessor(**size), words, patch_size=PATCH, spatial_merge_size=2
    )
    return transformers.LightOnOcrForConditionalGeneration(config), processor


def hyperclovax_vision_v2() -> Built:
    """HyperCLOVA X Vision 2: Qwen2.5-VL's tower with windows, a decoder with norms behind attention and MLP."""
    words = tokenizer(image_token="<image>", video_token="<video>")
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": WIDTH, "depth": 2}
    tower |= {"fullatt_block_indexes": [1], "window_size": 56, "patch_size": PATCH}
    config = transformers.HyperCLOVAXVisionV2Config(
        vision_config={"model_type": "qwen2_5_vl_vision"} | tower,
        text_config=transformers.HyperCLOVAXConfig(**text(words, residual_multiplier=0.5, logits_scaling=2.0)),
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
    )
    images = transformers.Qwen2VLImageProcessor(patch_size=PATCH, min_pixels=LEAST, max_pixels=MOST)
    processor = transformers.HyperCLOVAXVisionV2Processor(images, words, transformers.Qwen2VLVideoProcessor())
    return transformers.HyperCLOVAXVisionV2ForConditionalGeneration(config), processor


def muse_glimmer() -> Built:
    """Muse Glimmer: layers with a window and rotary positions, and layers with neither; gated attention."""
    names = ("<|patch|>", "<|image_start|>", "<|image_end|>", "<|video|>", "<|vid_start|>", "<|vid_end|>")
    words = tokenizer(*names, "<|vid_frame_separator|>")
    config = transformers.MuseGlimmerConfig(
        vision_config=vision(image_size=None, patch_size=PATCH),
        text_config=text(words, head_dim=16, sliding_window=12, qk_scale_factor=1.0),
        image_token_id=words.convert_tokens_to_ids("<|patch|>"),
        video_token_id=words.convert_tokens_to_ids("<|video|>"),
        out_hidden_size=4 * 32,
        projector_hidden_size=64,
    )
    images = transformers.MuseGlimmerImageProcessor(max_image_tokens=16)
    processor = transformers.MuseGlimmerProcessor(images, transformers.MuseGlimmerVideoProcessor(), words)
    return transformers.MuseGlimmerForConditionalGeneration(config), processor


FAMILIES = [
    Family("LightOnOCR", lighton_ocr, NATIVE),
    Family("HyperCLOVA X Vision 2", hyperclovax_vision_v2, NATIVE),
    Family("Muse Glimmer", muse_glimmer, NATIVE),
]
