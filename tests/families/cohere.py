"""Cohere's families: tiles with text between them, or the picture's own size, and decoders with windows."""

import transformers

from tests.families.common import PATCH, SIDE, WIDTH, Built, siglip, text, tokenizer
from tests.families.family import DEEPSTACK, IN_BLOCKS, TILES_IN_TEXT, Family

# Layers with a window turn queries and keys by position, layers without one do not.
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]


def aya_vision() -> Built:
    """Aya Vision: SigLIP, a projector that joins four patches into a token, and Cohere 2."""
    marks = ("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<|IMG_LINE_BREAK|>", "TILE_GLOBAL")
    words = tokenizer(*marks)
    config = transformers.AyaVisionConfig(
        vision_config=siglip(),
        text_config=transformers.Cohere2Config(**text(words, sliding_window=12, layer_types=KINDS)),
        image_token_index=words.convert_tokens_to_ids("<|IMG_PATCH|>"),
        alignment_intermediate_size=64,
    )
    images = transformers.GotOcr2ImageProcessor(size={"height": SIDE, "width": SIDE}, max_patches=2)
    processor = transformers.AyaVisionProcessor(
        images, words, patch_size=PATCH, img_size=SIDE, downsample_factor=config.downsample_factor
    )
    return transformers.AyaVisionForConditionalGeneration(config), processor


def cohere2_vision() -> Built:
    """Command A Vision: a token ends each tile."""
    named = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<image>", "img_line_break_token": "<break>"}
    words = tokenizer(**named)
    # Small enough for the tall picture to have fewer tiles than the wide one.
    side, patch = 40, 10
    config = transformers.Cohere2VisionConfig(
        vision_config=siglip(image_size=side, patch_size=patch),
        text_config=transformers.Cohere2Config(**text(words, sliding_window=12, layer_types=KINDS)),
        image_token_id=words.convert_tokens_to_ids("<image>"),
        alignment_intermediate_size=64,
    )
    # What it calls the patch size is the number of tokens along a tile's side.
    images = transformers.Cohere2VisionImageProcessor(size={"height": side, "width": side}, patch_size=2, max_patches=4)
    return transformers.Cohere2VisionForConditionalGeneration(config), transformers.Cohere2VisionProcessor(
        images, words
    )


def cohere_compass() -> Built:
    """North Vision: positions by time, row and column in layers with a window, none in the others."""
    marks = ("<|IMAGE_PAD|>", "<|VIDEO_PAD|>", "<|VISION_START|>", "<|VISION_END|>")
    words = tokenizer(*marks)
    image, video, begin, end = words.convert_tokens_to_ids(marks)
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]}
    config = transformers.CohereCompassConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "patch_size": PATCH,
            "num_position_embeddings": 64,
            "deepstack_visual_indexes": [0, 1],
        },
        text_config=text(
            words,
            sliding_window=12,
            layer_types=KINDS,
            logit_scale=0.25,
            rope_parameters={"sliding_attention": rope, "full_attention": None},
        ),
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=begin,
        vision_end_token_id=end,
    )
    size = {"shortest_edge": (4 * PATCH) ** 2, "longest_edge": (8 * PATCH) ** 2}
    images = transformers.CohereCompassImageProcessor(size=size, patch_size=PATCH)
    processor = transformers.CohereCompassProcessor(images, words, transformers.CohereCompassVideoProcessor())
    return transformers.CohereCompassForConditionalGeneration(config), processor


FAMILIES = [
    Family("Aya Vision", aya_vision, TILES_IN_TEXT),
    Family("Command A Vision", cohere2_vision, TILES_IN_TEXT),
    Family(
        "North Vision (Cohere Compass)",
        cohere_compass,
        IN_BLOCKS,
        note=DEEPSTACK,
    ),
]
