"""What transformers builds a model with, and what prepares its inputs: they depend on whether the model sees."""

from typing import Any

from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
)

from layerwise.errors import InputError
from layerwise.models.families import DEFAULT, TEXT, is_text
from layerwise.models.image_processor import registered_processor
from layerwise.models.text_processor import load_text_processor


def auto_class(adapter: str) -> Any:
    """The class of transformers that builds the models of an adapter."""
    return AutoModelForCausalLM if is_text(adapter) else AutoModelForImageTextToText


def processor_of(description: dict[str, Any]) -> Any:
    """The processor of a registered model.

    Args:
        description: see :func:`layerwise.models.registration.describe_model`.

    Raises:
        InputError: when it cannot be loaded, or makes other pixels than it did when the model was registered.
    """
    if is_text(description["adapter"]):
        trust = bool(description.get("trust_remote_code"))
        return load_text_processor(description["model"], description["folder"], trust)
    return registered_processor(description)


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
