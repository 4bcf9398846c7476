"""Tiny language models without vision, with random weights, from their real configuration classes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, PreTrainedConfig

from layerwise.models.adapters.text import TextModel
from layerwise.models.opening import wrap_model
from layerwise.models.text_processor import TextProcessor
from tests.families.common import LAYERS, WIDTH, Built, text, tokenizer

# As many positions as a short prompt has tokens, so that a window hides some.
WINDOW = 4


@dataclass(frozen=True)
class LanguageModel:
    """A tested type of language model.

    Attributes:
        name: that its makers gave it.
        config: makes its configuration for a tokenizer.
        gain: multiplies the weights, so that layers differ and a mistake in one of them shows.
    """

    name: str
    config: Callable[[Any], PreTrainedConfig]
    gain: float = 3.0

    def build(self) -> Built:
        """The tiny model and its tokenizer."""
        words = tokenizer()
        return AutoModelForCausalLM.from_config(self.config(words)), TextProcessor(words)

    def served(self) -> TextModel:
        """The tiny model behind the adapter ``text``."""
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            model, processor = self.build()
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.mul_(self.gain)
        return wrap_model("text", model.eval().requires_grad_(False), processor, "auto")


def _plain(config: type[PreTrainedConfig], **more: Any) -> Callable[[Any], PreTrainedConfig]:
    """A configuration that takes the usual names."""
    return lambda words: config(**text(words, **more))


def _gpt2(words: Any) -> PreTrainedConfig:
    ends = {"bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id}
    return transformers.GPT2Config(
        vocab_size=len(words), n_embd=WIDTH, n_layer=LAYERS, n_head=4, n_positions=512, **ends
    )


def _opt(words: Any) -> PreTrainedConfig:
    return transformers.OPTConfig(**text(words, ffn_dim=128, word_embed_proj_dim=WIDTH))


def _bloom(words: Any) -> PreTrainedConfig:
    return transformers.BloomConfig(
        vocab_size=len(words),
        hidden_size=WIDTH,
        n_layer=LAYERS,
        n_head=4,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
    )


EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}

LANGUAGE_MODELS = [
    LanguageModel("Llama", _plain(transformers.LlamaConfig)),
    LanguageModel("SmolLM2, a Llama with a tied head", _plain(transformers.LlamaConfig, tie_word_embeddings=True)),
    LanguageModel("Mistral with a window", _plain(transformers.MistralConfig, sliding_window=WINDOW)),
    LanguageModel(
        "Qwen2 with some windows",
        _plain(transformers.Qwen2Config, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=1),
    ),
    LanguageModel("Qwen3", _plain(transformers.Qwen3Config, head_dim=16)),
    LanguageModel(
        "Gemma 2", _plain(transformers.Gemma2Config, head_dim=16, sliding_window=WINDOW, query_pre_attn_scalar=16)
    ),
    LanguageModel(
        "Gemma 3",
        _plain(
            transformers.Gemma3TextConfig,
            head_dim=16,
            sliding_window=WINDOW,
            query_pre_attn_scalar=16,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
    ),
    LanguageModel("Phi", _plain(transformers.PhiConfig)),
    LanguageModel("Phi-3", _plain(transformers.Phi3Config)),
    LanguageModel("OLMo 2", _plain(transformers.Olmo2Config)),
    LanguageModel("Cohere", _plain(transformers.CohereConfig)),
    LanguageModel("Granite", _plain(transformers.GraniteConfig, logits_scaling=4.0)),
    LanguageModel("StableLM", _plain(transformers.StableLmConfig)),
    LanguageModel("OPT", _opt),
    LanguageModel("GPT-2", _gpt2),
    LanguageModel("GPT-NeoX", _plain(transformers.GPTNeoXConfig)),
    LanguageModel("Falcon", _plain(transformers.FalconConfig)),
    LanguageModel("BLOOM", _bloom),
    LanguageModel("Mixtral", _plain(transformers.MixtralConfig, num_local_experts=4, num_experts_per_tok=2)),
    LanguageModel("Qwen3 with experts", _plain(transformers.Qwen3MoeConfig, head_dim=16, **EXPERTS)),
    LanguageModel("OLMoE", _plain(transformers.OlmoeConfig, num_experts=4, num_experts_per_tok=2)),
    LanguageModel(
        "DeepSeek-V3",
        _plain(
            transformers.DeepseekV3Config,
            num_key_value_heads=4,
            n_routed_experts=4,
            num_experts_per_tok=2,
            n_group=2,
            topk_group=1,
            moe_intermediate_size=32,
            first_k_dense_replace=1,
            kv_lora_rank=16,
            q_lora_rank=16,
            qk_rope_head_dim=8,
            qk_nope_head_dim=8,
            v_head_dim=16,
        ),
    ),
    LanguageModel(
        "gpt-oss",
        _plain(
            transformers.GptOssConfig,
            head_dim=16,
            num_local_experts=4,
            num_experts_per_tok=2,
            sliding_window=WINDOW,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        ),
    ),
]
