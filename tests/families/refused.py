"""Families that are refused by their row, at registration."""

import transformers

from tests.families.alone import TEMPLATE
from tests.families.gemma import gemma3
from tests.families.standin import SIDE, Built, text, tokenizer


def shieldgemma2() -> Built:
    """ShieldGemma 2, whose processor asks three questions of its own about each picture."""
    model, plain = gemma3()
    parts = model.config.to_dict()
    config = transformers.ShieldGemma2Config.from_dict({k: v for k, v in parts.items() if k != "model_type"})
    processor = transformers.ShieldGemma2Processor(
        plain.image_processor, plain.tokenizer, TEMPLATE.format(image="<boi>"), image_seq_length=16
    )
    # As it is loaded: without the head that answers yes or no.
    return transformers.AutoModelForImageTextToText.from_config(config), processor


def mistral4() -> Built:
    """The decoder of Mistral Small 4 by itself, which transformers lists among those that read pictures."""
    words = tokenizer()
    sizes = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "kv_lora_rank": 16}
    sizes |= {"q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 16}
    return transformers.Mistral4ForCausalLM(transformers.Mistral4Config(**text(words, **sizes))), words


def pi0() -> Built:
    """PI0: PaliGemma reads, and a second decoder makes movements of noise."""
    words = tokenizer()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = transformers.PI0Config(
        vlm_config={
            "model_type": "paligemma",
            "text_config": {"model_type": "gemma"} | text(words, head_dim=16),
            "vision_config": {"model_type": "siglip_vision_model", "image_size": SIDE, "patch_size": 14} | small,
            "projection_dim": 64,
            "image_token_id": words.convert_tokens_to_ids("<image>"),
        },
        dit_config={"model_type": "gemma"} | text(words, head_dim=16),
    )
    return transformers.PI0ForConditionalGeneration(config), words


REFUSED = [
    (
        "Mistral 4",
        mistral4,
        "it reads texts alone; Mistral Small 4, which sees pictures with this decoder, is of the type mistral3",
    ),
    ("PI0", pi0, "it writes a robot's movements, not text, and reads the robot's state with every picture"),
    (
        "ShieldGemma 2",
        shieldgemma2,
        "its processor asks questions of its own about each picture, in place of the prompt",
    ),
]
