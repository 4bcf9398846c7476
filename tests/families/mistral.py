"""Mistral Small 4 and Mistral Large 4: latent keys and values, and a mixture of experts."""

import transformers

from tests.families.common import PATCH, Built, image_token, text, tokenizer, vision
from tests.families.family import BATCH_DECIDES, INDEXER, NATIVE, TIES, Family

EXPERTS = {"n_routed_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "n_shared_experts": 1}
LATENT = {"kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}


def _pixtral(words: transformers.PreTrainedTokenizerFast) -> transformers.PixtralProcessor:
    size = {"size": {"longest_edge": 8 * PATCH}, "patch_size": {"height": PATCH, "width": PATCH}}
    images = transformers.PixtralImageProcessor(**size)
    return transformers.PixtralProcessor(images, words, patch_size=PATCH, spatial_merge_size=2, image_token="<image>")


def mistral_small4() -> Built:
    """Mistral Small 4 with its own processor: Mistral 3 on the decoder ``mistral4``."""
    words = tokenizer("[IMG_BREAK]", "[IMG_END]")
    # Queries are scaled anew after every 16 positions.
    rope = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 32.0, "original_max_position_embeddings": 16}
    rope |= {"llama_4_scaling_beta": 0.1, "mscale": 1.0, "mscale_all_dim": 1.0}
    own = text(words, **EXPERTS, **LATENT, q_lora_rank=16, num_key_value_heads=4, first_k_dense_replace=1)
    own |= {"rope_parameters": rope}
    config = transformers.Mistral3Config(
        vision_config=transformers.PixtralVisionConfig(**vision(image_size=12 * PATCH)),
        text_config=transformers.Mistral4Config(**own),
        image_token_index=image_token(words),
        spatial_merge_size=2,
    )
    return transformers.Mistral3ForConditionalGeneration(config), _pixtral(words)


def mistral_large4() -> Built:
    """Mistral Large 4 with Pixtral's processor: an indexer chooses what each token attends to."""
    words = tokenizer("[IMG_BREAK]", "[IMG_END]")
    indexer = {"index_topk": 12, "index_head_dim": 16, "index_n_heads": 2, "indexer_types": ["full", "shared", "full"]}
    own = text(words, **EXPERTS, **LATENT, **indexer, num_key_value_heads=4, first_k_dense_replace=1)
    config = transformers.MistralLarge4Config(
        vision_config=transformers.PixtralVisionConfig(**vision(image_size=12 * PATCH)),
        text_config=transformers.MistralLarge4TextConfig(**own, no_rope_layers=[1, 1, 0], kv_source_layers=[0, 0, 2]),
        image_token_index=image_token(words),
        spatial_merge_size=2,
    )
    return transformers.MistralLarge4ForConditionalGeneration(config), _pixtral(words)


FAMILIES = [
    Family("Mistral Small 4", mistral_small4, NATIVE),
    Family(
        "Mistral Large 4",
        mistral_large4,
        NATIVE,
        not_shared=INDEXER,
        alone=BATCH_DECIDES,
        note=TIES,
    ),
]
