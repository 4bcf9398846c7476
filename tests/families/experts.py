"""Mixtures of experts whose decoders have further traits: other experts for the image, chunks, a window for answers."""

from typing import Any

import transformers

from tests.families.common import BEGIN, END, PATCH, SIDE, Built, image_token, text, tokenizer
from tests.families.family import NATIVE, TILES, TILES_IN_TEXT, Family
from tests.families.linear_attention import LEAST, MOST


def ernie4_5_vl_moe() -> Built:
    """ERNIE 4.5 VL: a dense block, and blocks with experts of the text and experts of the image."""
    named = {
        "image_token": "<image>",
        "image_start_token": BEGIN,
        "image_end_token": END,
        "video_token": "<video>",
        "video_start_token": "<begin-video>",
        "video_end_token": "<end-video>",
    }
    words = tokenizer(**named)
    rope = {"rope_type": "default", "mrope_section": [3, 3, 2], "rope_theta": 10000.0}
    experts = {"moe_intermediate_size": [32, 16], "moe_k": 2, "moe_num_experts": 4, "moe_num_shared_experts": 1}
    ids = {f"{name}_id": words.convert_tokens_to_ids(token) for name, token in named.items()}
    config = transformers.Ernie4_5_VLMoeConfig(
        text_config=text(words, rope_parameters=rope, **experts),
        vision_config={"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "patch_size": PATCH},
        **ids,
    )
    size = {"shortest_edge": LEAST, "longest_edge": MOST}
    images = transformers.Ernie4_5_VLMoeImageProcessor(patch_size=PATCH, size=size)
    # A video's frames are drawn on in a font that comes with the released model.
    videos = transformers.Ernie4_5_VLMoeVideoProcessor(patch_size=PATCH, draw_on_frames=False)
    template = (
        "{{ bos_token }}{% for turn in messages %}User: {% for part in turn.content %}{% if part.type == 'image' %}"
        f"Picture 1:{BEGIN}<image>{END}"
        "{% else %}{{ part.text }}{% endif %}{% endfor %}{% endfor %}"
        "{% if add_generation_prompt %}\nAssistant: {% endif %}"
    )
    processor = transformers.Ernie4_5_VLMoeProcessor(images, words, videos, chat_template=template)
    return transformers.Ernie4_5_VLMoeForConditionalGeneration(config), processor


def llama4(**more: Any) -> Built:
    """Llama 4: tiles, and in every other block experts and attention within chunks."""
    marks = ("patch", "image", "image_start", "image_end", "tile_x_separator", "tile_y_separator")
    words = tokenizer(*(f"<|{mark}|>" for mark in marks))
    experts = {"num_local_experts": 4, "interleave_moe_layer_step": 2, "intermediate_size_mlp": 128}
    layers = {"num_hidden_layers": 4, "no_rope_layer_interval": 2, "attention_chunk_size": 16}
    tower = {"hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    # Four neighbouring patches of a quarter of the width make one token.
    tower |= {"vision_output_dim": 64, "projector_input_dim": 64, "projector_output_dim": 64}
    config = transformers.Llama4Config(
        text_config=text(words, head_dim=16, **experts, **layers, **more),
        vision_config=tower | {"image_size": SIDE, "patch_size": PATCH},
        image_token_index=words.convert_tokens_to_ids("<|patch|>"),
    )
    images = transformers.Llama4ImageProcessor(size={"height": SIDE, "width": SIDE}, max_patches=2)
    processor = transformers.Llama4Processor(images, words, patch_size=PATCH)
    return transformers.Llama4ForConditionalGeneration(config), processor


def unlimited_ocr() -> Built:
    """Unlimited-OCR: two towers, and a decoder in which an answer sees the prompt and a window of itself."""
    words = tokenizer()
    side, patch = 32, 8
    sam = {"hidden_size": 32, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_dim": 64}
    sam |= {"image_size": side, "patch_size": patch, "window_size": 2, "global_attn_indexes": [1]}
    # From its own configuration the tower begins with weights of almost zero, which make all images equal.
    sam |= {"downsample_channels": [24, 32], "initializer_range": 0.02}
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    experts = {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    config = transformers.UnlimitedOcrConfig(
        text_config=text(words, num_key_value_heads=4, sliding_window=4, **experts),
        vision_config={"sam_config": sam, "encoder_config": tower | {"image_size": side, "patch_size": patch}},
        image_token_id=image_token(words),
    )
    images = transformers.UnlimitedOcrImageProcessor(
        size={"height": 2 * side, "width": 2 * side}, tile_size=side, max_patches=4
    )
    processor = transformers.UnlimitedOcrProcessor(images, words, patch_size=patch)
    return transformers.UnlimitedOcrForConditionalGeneration(config), processor


FAMILIES: list[Family] = [
    Family("ERNIE 4.5 VL", ernie4_5_vl_moe, NATIVE),
    Family(
        "Llama 4",
        llama4,
        TILES_IN_TEXT,
        note="its processor makes pixels in bfloat16; from 8,192 tokens on, attention in some blocks is scaled by a "
        "token's place in its row, so inputs of more than 6,143 tokens are refused",
    ),
    Family("Unlimited-OCR", unlimited_ocr, TILES, note="an untrained twin is blind, because of its initial weights"),
]
