"""Decoders in which most blocks are convolutions or state spaces: LFM2, LFM3 and Nemotron-H."""

import transformers

from tests.families.common import BEGIN, END, PATCH, Built, image_token, text, tokenizer, vision
from tests.families.family import CONVOLUTIONS, HYBRID, RECURRENT, Family
from tests.families.linear_attention import LEAST, MOST

# So that one picture of the checks is cut into tiles, and the other is not.
SMALL = 8
ROWS = tuple(f"<|img_row_{row}_col_{column}|>" for row in (1, 2, 3) for column in (1, 2, 3))


def lfm2_vl() -> Built:
    """LFM2-VL: a picture in tiles with text between them, convolutions, and a block of attention."""
    words = tokenizer("<|image_start|>", "<|image_end|>", "<|img_thumbnail|>", *ROWS)
    kinds = ["conv", "full_attention", "conv", "full_attention"]
    config = transformers.Lfm2VlConfig(
        text_config=text(words, layer_types=kinds, num_hidden_layers=len(kinds)) | {"model_type": "lfm2"},
        vision_config=vision(num_patches=64, patch_size=SMALL) | {"model_type": "siglip2_vision_model"},
        image_token_id=image_token(words),
        projector_hidden_size=64,
    )
    images = transformers.Lfm2VlImageProcessor(
        encoder_patch_size=SMALL, tile_size=4 * SMALL, min_image_tokens=2, max_image_tokens=4, max_tiles=3
    )
    return transformers.Lfm2VlForConditionalGeneration(config), transformers.Lfm2VlProcessor(images, words)


def lfm3_vl() -> Built:
    """LFM3-VL: convolutions, blocks with a window and blocks without one, and a tower of convolutions."""
    named = {"image_token": "<image>", "video_token": "<video>", "vision_start_token": BEGIN, "vision_end_token": END}
    words = tokenizer(**named)
    kinds = ["conv", "sliding_attention", "full_attention", "conv", "sliding_attention"]
    layers = {"layer_types": kinds, "num_hidden_layers": len(kinds), "head_dim": 16, "sliding_window": 8}
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2}
    config = transformers.Lfm3VlConfig(
        text_config=text(words, **layers) | {"model_type": "lfm3"},
        vision_config=tower | {"num_key_value_heads": 1, "patch_size": PATCH},
        projector_hidden_size=64,
        **{f"{name}_id": words.convert_tokens_to_ids(token) for name, token in named.items()},
    )
    images = transformers.Qwen2VLImageProcessor(patch_size=PATCH, min_pixels=LEAST, max_pixels=MOST)
    processor = transformers.Lfm3VlProcessor(images, words, transformers.Qwen3VLVideoProcessor(patch_size=PATCH))
    return transformers.Lfm3VlForConditionalGeneration(config), processor


def nemotron_h_omni() -> Built:
    """Nemotron 3 Omni: each block is one of a state space, experts, attention or a perceptron."""
    words = tokenizer("<img>", "</img>", "<so_start>", "<so_end>", "<so_embedding>", "<video>")
    kinds = ["linear_attention", "moe", "full_attention", "mlp", "linear_attention"]
    space = {"ssm_state_size": 8, "mamba_num_heads": 4, "mamba_head_dim": 16, "n_groups": 2, "chunk_size": 4}
    experts = {"n_routed_experts": 4, "moe_intermediate_size": 32, "moe_shared_expert_intermediate_size": 48}
    decoder = text(words, layers_block_type=kinds, head_dim=16, **space, **experts)
    del decoder["num_hidden_layers"]
    tower = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2.0}
    config = transformers.NemotronH_Omni_Reasoning_V3_Config(
        text_config=decoder | {"model_type": "nemotron_h"},
        vision_config=tower
        | {"model_type": "radio", "patch_size": PATCH, "max_img_size": 12 * PATCH, "video_temporal_patch_size": 2},
        vision_hidden_size=32,
        projector_hidden_size=64,
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        audio_token_id=words.convert_tokens_to_ids("<so_embedding>"),
    )
    images = transformers.NemotronH_Omni_Reasoning_V3ImageProcessor(
        patch_size=PATCH, min_num_patches=4, max_num_patches=20
    )
    videos = transformers.NemotronH_Omni_Reasoning_V3VideoProcessor()
    sounds = transformers.ParakeetFeatureExtractor()
    processor = transformers.NemotronH_Omni_Reasoning_V3Processor(images, videos, words, sounds)
    return transformers.NemotronH_Omni_Reasoning_V3(config), processor


FAMILIES: list[Family] = [
    Family("LFM2-VL", lfm2_vl, HYBRID, not_shared=CONVOLUTIONS),
    Family("LFM3-VL", lfm3_vl, HYBRID, not_shared=CONVOLUTIONS),
    Family("Nemotron 3 Omni", nemotron_h_omni, HYBRID, not_shared=RECURRENT),
]
