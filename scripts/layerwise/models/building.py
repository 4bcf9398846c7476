"""What transformers builds a model with, and what prepares its inputs: they depend on whether the model sees."""

from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForImageTextToText

from layerwise.models.families import is_text
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
