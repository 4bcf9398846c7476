"""Refuse a model by its type. ``config.json`` is enough for this, so no weights are downloaded or read."""

import json
import logging
from pathlib import Path
from typing import Any

from transformers import (
    CONFIG_MAPPING,
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    __version__,
)

from layerwise.errors import InputError
from layerwise.models.families import DEFAULT, FAMILIES, TEXT, family_of, stated_type

log = logging.getLogger(__name__)

LISTED = "docs/families.md lists the types that are served"


def check_served(name: str, adapter: str, folder: Path, trust: bool) -> None:
    """Refuse a type that is not served, that needs another adapter, or that this transformers does not know.

    This reads only ``config.json``, so it runs before anything else is downloaded.

    Args:
        name: the model's name in the config.
        adapter: of its entry.
        folder: holds ``config.json``. If that is missing or names no type, nothing is checked here; reading the whole
            configuration later gives the error.
        trust: whether code that comes with the model may run. Such code may define a type of its own.

    Raises:
        InputError: naming the type.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        model_type, own_code = stated_type(config), "auto_map" in config
    except (OSError, ValueError, AttributeError, TypeError):
        return
    if not isinstance(model_type, str):
        return
    if why := family_of(model_type).refused:
        raise InputError(f"models.{name}: a model of type {model_type} is not served: {why}")
    _check_adapter(name, adapter, model_type)
    if not trust and model_type not in CONFIG_MAPPING:
        fix = "if a newer release knows it, install that one in place of the pinned one (envs/requirements.in)"
        if own_code:
            fix = "code that comes with it runs with `trust_remote_code: true`"
        raise InputError(
            f"models.{name}: transformers {__version__} knows no type {model_type} ({folder}/config.json); {fix}; "
            f"{LISTED}"
        )


def check_family(name: str, adapter: str, model_type: str, trust: bool) -> None:
    """Refuse the generic adapter for a type that needs another one, or that transformers does not load for pictures.

    A type without a row in the table of families is served with the defaults, and a warning says so.

    Args:
        name: the model's name in the config.
        adapter: of its entry.
        model_type: as the configuration names it.
        trust: whether code that comes with the model may run. Such code may load what transformers does not.

    Raises:
        InputError: naming the type.
    """
    _check_adapter(name, adapter, model_type)
    if adapter != DEFAULT.adapter or trust:
        return
    if CONFIG_MAPPING[model_type] not in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        raise InputError(
            f"models.{name}: transformers {__version__} loads no model of type {model_type} as one that "
            f"reads pictures and text (AutoModelForImageTextToText); {LISTED}"
        )
    if model_type not in FAMILIES:
        log.warning(
            "models.%s: no test covers models of type %s yet. It runs with the defaults; each run first checks its "
            "states on a few inputs, and stops if they are wrong",
            name,
            model_type,
        )


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
            f"{of_type} sees pictures, and `text` is for language models; leave `adapter` out. To show it texts alone, "
            "name prompts with `image: none` in its `prompts`"
        )
    if adapter == TEXT and not writes:
        raise InputError(
            f"{of_type} is not a language model of transformers (AutoModelForCausalLM); leave the model out"
        )


def _check_adapter(name: str, adapter: str, model_type: str) -> None:
    if adapter == DEFAULT.adapter and (needed := family_of(model_type).adapter) != adapter:
        raise InputError(f"models.{name}.adapter: a model of type {model_type} needs `adapter: {needed}`")
