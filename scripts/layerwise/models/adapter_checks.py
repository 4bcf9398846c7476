"""Refuse a language model where a multimodal model is meant, and the reverse."""

from typing import Any

from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

from layerwise.errors import InputError
from layerwise.models.families import DEFAULT, TEXT


def check_sees(name: str, adapter: str, config: Any) -> None:
    """Refuse a language model behind an adapter for multimodal models, and the reverse.

    Args:
        name: the model's name in the config.
        adapter: of its entry.
        config: the model's configuration.

    Raises:
        InputError: with the adapter that it needs.
    """
    if adapter not in (DEFAULT.adapter, TEXT):
        return
    own = getattr(config, "auto_map", None) or {}
    sees = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or "AutoModelForImageTextToText" in own
    # Some multimodal models are registered as language models alone, or come with code that is.
    sees = sees or hasattr(config, "vision_config")
    writes = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING or "AutoModelForCausalLM" in own
    of_type = f"models.{name}.adapter: a model of type {config.model_type}"
    if adapter == DEFAULT.adapter and writes and not sees:
        raise InputError(f"{of_type} is a language model, which sees no picture; write `adapter: text`")
    if adapter == TEXT and sees:
        raise InputError(
            f"{of_type} sees pictures, and `text` is for language models; leave `adapter` out, and give it the prompts "
            "with `image: none` by `prompts`"
        )
    if adapter == TEXT and not writes:
        raise InputError(f"{of_type} is no language model that transformers knows")
