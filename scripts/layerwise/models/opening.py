"""Open the model that a ``model.json`` describes, whichever adapter serves it.

Works in the older environment too (``envs/legacy.txt``): it imports the adapter by name and nothing of transformers.
"""

from importlib import import_module
from typing import Any

from torch import nn

from layerwise.models.frozen import AnsweringModel, FrozenModel


def open_model(description: dict[str, Any], device: str, **overrides: Any) -> FrozenModel:
    """Load a model for reading: in evaluation mode, on its device, behind the interface of its adapter.

    Args:
        description: of ``model.json``; see :func:`layerwise.models.registration.describe_model`.
        device: as torch names it, for a model that is not spread over several.
        overrides: replace keys of the description, or add to it: ``device_map``, say, which is no part of what the
            model computes and so in no ``model.json``.

    Raises:
        InputError: when the model's files, its code or a package that it needs are missing or do not fit.
    """
    described = description | overrides
    return import_module(f"layerwise.models.adapters.{described['adapter']}").load(described, device)


def wrap_model(adapter: str, model: nn.Module, processor: Any, conversation: str) -> AnsweringModel:
    """Serve a model of transformers that was built elsewhere, perhaps without its weights.

    Args:
        adapter: one that serves models of transformers; see :func:`layerwise.models.families.is_measured`.
        model: in evaluation mode, or on the device ``meta``.
        processor: the family's own.
        conversation: see the model entry's key in the config.

    Raises:
        InputError: when the family cannot be read, or the conversation has no place for the image.
    """
    return import_module(f"layerwise.models.adapters.{adapter}").wrap(model, processor, conversation)
