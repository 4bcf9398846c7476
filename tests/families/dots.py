"""Dots 3 Note: latent keys and values, an indexer beside windows of other heads, and mixtures of experts."""

import transformers

from tests.families.common import PATCH, WIDTH, Built, text, tokenizer
from tests.families.family import BATCH_DECIDES, INDEXER, NATIVE, TIES, Family

PADS = {"image": "<|imgpad|>", "video": "<|video_pad|>", "audio": "<|audio_comp_pad|>"}


def dots3_note() -> Built:
    """Dots 3 Note with its own processor."""
    words = tokenizer(*PADS.values())
    latent = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}
    experts = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
    windows = {f"swa_{name}": size for name, size in latent.items()}
    windows |= {
        "swa_qk_nope_head_dim": 4,
        "swa_head_dim": 12,
        "swa_num_attention_heads": 2,
        "swa_num_key_value_heads": 2,
    }
    own = text(words, **latent, **experts, **windows, head_dim=16, num_key_value_heads=4, sliding_window=12)
    own |= {"shared_experts_intermediate_size": 32, "index_topk": 6, "index_head_dim": 16, "index_n_heads": 2}
    kinds = ["indexed_attention", "sliding_attention", "indexed_attention"]
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.Dots3NoteConfig(
        text_config=transformers.Dots3NoteTextConfig(**own, layer_types=kinds),
        vision_config=transformers.Dots3NoteVisionConfig(
            **tower,
            patch_size=PATCH,
            moe_intermediate_size=16,
            adapter_in_dim=32,
            adapter_out_dim=WIDTH,
            pyramid_num_routed=[-1, 4],
        ),
        audio_config=transformers.Dots3NoteAudioConfig(
            hidden_size=32,
            num_attention_heads=2,
            num_hidden_layers=1,
            intermediate_size=64,
            adapter_input_size=32,
            adapter_out_dim=WIDTH,
            downsample_hidden_size=8,
        ),
        **{f"{name}_token_id": words.convert_tokens_to_ids(pad) for name, pad in PADS.items()},
    )
    size = {"shortest_edge": (4 * PATCH) ** 2, "longest_edge": (8 * PATCH) ** 2}
    images = transformers.Qwen2VLImageProcessor(patch_size=PATCH, temporal_patch_size=1, merge_size=2, size=size)
    videos = transformers.Qwen2VLVideoProcessor(patch_size=PATCH, temporal_patch_size=1, merge_size=2)
    processor = transformers.Dots3NoteProcessor(images, words, videos, transformers.Dots3NoteFeatureExtractor())
    return transformers.Dots3NoteForConditionalGeneration(config), processor


FAMILIES = [
    Family(
        "Dots 3 Note",
        dots3_note,
        NATIVE,
        not_shared=INDEXER,
        alone=BATCH_DECIDES,
        note=TIES,
    )
]
