"""Kimi K2.5, MiniMax M3 and Muse Spark: pictures in their own shape before a decoder with dense and expert blocks."""

import transformers

from tests.families.common import PATCH, WIDTH, Built, image_token, text, tokenizer, vision
from tests.families.family import NATIVE, TILES_IN_TEXT, Family


def kimi_k25() -> Built:
    """Kimi K2.5: latent attention, one dense block and two of experts."""
    words = tokenizer("<|media_begin|>", "<|media_end|>", image_token="<image>", video_token="<video>")
    decoder = text(words, num_key_value_heads=4, q_lora_rank=32, kv_lora_rank=16, qk_nope_head_dim=16)
    decoder |= {"qk_rope_head_dim": 8, "v_head_dim": 24, "first_k_dense_replace": 1, "n_routed_experts": 8}
    decoder |= {"n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    config = transformers.Kimi_K25Config(
        vision_config=vision(patch_size=PATCH, pos_emb_height=8, pos_emb_width=8),
        text_config=transformers.DeepseekV3Config(**decoder),
        projection_hidden_size=32,
        image_token_id=image_token(words),
        video_token_id=words.convert_tokens_to_ids("<video>"),
        vision_start_token_id=words.convert_tokens_to_ids("<|media_begin|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|media_end|>"),
    )
    images = transformers.Kimi_K25ImageProcessor(max_patches=64)
    processor = transformers.Kimi_K25Processor(images, words, transformers.Kimi_K25VideoProcessor())
    return transformers.Kimi_K25ForConditionalGeneration(config), processor


def _minimax(**decoder) -> Built:
    processor_class = transformers.MiniMaxM3VLProcessor
    marks = [processor_class.IMAGE_TOKEN, processor_class.VIDEO_TOKEN]
    words = tokenizer(*marks, processor_class.VISION_START_TOKEN, processor_class.VISION_END_TOKEN)
    image, video = words.convert_tokens_to_ids(marks)
    experts = {"num_local_experts": 8, "num_experts_per_tok": 2, "shared_intermediate_size": 32}
    experts |= {
        "dense_intermediate_size": 128,
        "intermediate_size": 32,
        "mlp_layer_types": ["dense", "sparse", "sparse"],
    }
    config = transformers.MiniMaxM3VLConfig(
        vision_config=vision(image_size=12 * PATCH),
        text_config=text(words, head_dim=16, rotary_dim=8) | experts | decoder,
        image_token_index=image,
        video_token_index=video,
        projector_hidden_size=WIDTH,
    )
    images = transformers.MiniMaxM3VLImageProcessor(min_pixels=(4 * PATCH) ** 2, max_pixels=(8 * PATCH) ** 2)
    videos = transformers.MiniMaxM3VLVideoProcessor()
    return transformers.MiniMaxM3SparseForConditionalGeneration(config), processor_class(images, words, videos)


def minimax_m3_vl() -> Built:
    """MiniMax M3 with full attention in all blocks."""
    return _minimax()


def minimax_m3_vl_sparse() -> Built:
    """MiniMax M3 as published: most blocks choose which runs of tokens they see. A test of its own looks at it."""
    kinds = ["full_attention", "minimax_m3_sparse", "minimax_m3_sparse"]
    index = {"index_n_heads": 2, "index_head_dim": 16, "index_block_size": 4, "index_topk_blocks": 3}
    return _minimax(layer_types=kinds, **index)


def muse_spark() -> Built:
    """Muse Spark: dense and expert blocks, layers with and without a window, gates on what a block adds."""
    names = ("<|patch|>", "<|image_start|>", "<|image_end|>", "<|video|>", "<|vid_start|>", "<|vid_end|>")
    words = tokenizer(*names, "<|vid_frame_separator|>", "<|audio|>", "<|soft_audio_start|>", "<|soft_audio_end|>")
    image, video, audio = words.convert_tokens_to_ids(["<|patch|>", "<|video|>", "<|audio|>"])
    experts = {"num_local_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "moe_hidden_size": 32}
    config = transformers.MuseSparkConfig(
        vision_config=vision(patch_size=PATCH),
        text_config=text(
            words, head_dim=16, sliding_window=12, qk_scale_factor=1.0, mlp_layer_types=["dense", "sparse", "sparse"]
        )
        | experts,
        audio_config={"hidden_sizes": (8, 8, 8, 8), "depths": (1, 1, 1, 1), "out_hidden_size": WIDTH},
        image_token_id=image,
        video_token_id=video,
        audio_token_id=audio,
        out_hidden_size=4 * 32,
        projector_hidden_size=64,
    )
    images, videos = (
        transformers.MuseGlimmerImageProcessor(max_image_tokens=16),
        transformers.MuseGlimmerVideoProcessor(),
    )
    processor = transformers.MuseSparkProcessor(images, videos, words, transformers.MuseSparkFeatureExtractor())
    return transformers.MuseSparkForConditionalGeneration(config), processor


def step3p7() -> Built:
    """Step 3.7: the whole picture and tiles of a long one; more heads in layers with a window, a dense block first."""
    marks = ("<im_patch>", "<im_start>", "<im_end>", "<patch_start>", "<patch_end>", "<patch_newline>")
    words = tokenizer(*marks)
    tower = vision(mlp_ratio=2.0, max_position_embeddings=64, image_size=8 * PATCH, patch_size=PATCH)
    kinds = {"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "sliding_window": 12}
    kinds |= {"num_sliding_attention_heads": 8}
    experts = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "share_expert_dim": 32}
    config = transformers.Step3p7Config(
        vision_config=tower,
        text_config=text(words, head_dim=16, mlp_layer_types=["dense", "sparse", "sparse"]) | kinds | experts,
        image_token_id=words.convert_tokens_to_ids("<im_patch>"),
    )
    images = transformers.Step3p7ImageProcessor(
        size={"height": 8 * PATCH, "width": 8 * PATCH}, patch_size=4 * PATCH, max_image_size=16 * PATCH
    )
    return transformers.Step3p7ForConditionalGeneration(config), transformers.Step3p7Processor(images, words)


FAMILIES = [
    Family("Kimi K2.5", kimi_k25, NATIVE),
    Family(
        "MiniMax M3",
        minimax_m3_vl,
        NATIVE,
        note="with sparse attention (`minimax_m3_sparse` among its `layer_types`), inputs run one by one and share no "
        "prefix: blocks choose which groups of tokens they see, and padding would move these groups",
    ),
    Family("Muse Spark", muse_spark, NATIVE),
    # With greater weights, what its MLPs add is small beside what cancels in them, and rounding shows.
    Family("Step 3.7", step3p7, TILES_IN_TEXT, gain=1.5),
]
