"""Try an image processor's settings on a picture, before a model runs with them for hours."""

import inspect
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.building import auto_class
from layerwise.models.configuration import read_configuration
from layerwise.models.explained import said_by
from layerwise.models.frozen import AnsweringModel
from layerwise.models.image_processor import load_processor
from layerwise.models.opening import wrap_model
from layerwise.models.vision_tower import VisionTower

log = logging.getLogger(__name__)

# Width and height of the pictures that are tried: one lying, one standing, one smaller than what most towers see.
SIZES = ((640, 480), (375, 500), (90, 60))


def try_settings(name: str, adapter: str, plain: Path, changed: Path, entry: Mapping[str, Any]) -> None:
    """Refuse settings with which a model would fail, or read another number of tokens than its tower makes.

    The vision tower is run without its weights and blocks, because only the number of tokens matters. If that is not
    possible even with the plain settings, only the processor is tried.

    Args:
        name: the model's name in the config.
        adapter: that serves it.
        plain: the folder with the plain settings.
        changed: the folder with the changed ones.
        entry: the model's config entry.

    Raises:
        InputError: naming the settings.
    """
    try:
        _try(name, adapter, plain, entry)
    except Exception as error:
        log.info("models.%s: its vision tower is not tried with the settings (%s)", name, said_by(error))
        runs = False
    else:
        runs = True
    try:
        _try(name, adapter, changed, entry, tower=runs)
    except Exception as error:
        what = str(error) if isinstance(error, InputError) else said_by(error)
        raise InputError(
            f"models.{name}.processor: the model cannot run with {json.dumps(entry['processor'])}: {what}; choose "
            "other values, or leave the key out"
        ) from error


def _try(name: str, adapter: str, folder: Path, entry: Mapping[str, Any], tower: bool = True) -> None:
    trust = bool(entry.get("trust_remote_code"))
    with torch.device("meta"):
        model = auto_class(adapter).from_config(read_configuration(folder, trust_remote_code=trust))
    processor = load_processor(name, folder, entry.get("image_processor", "auto"), trust)
    frozen = wrap_model(adapter, model, processor, entry.get("conversation", "auto"))
    features = _features(frozen) if tower else None
    for size in SIZES:
        prepared = frozen.prepare([Image.new("RGB", size)], ["word"])
        for inputs in prepared if isinstance(prepared, list) else [prepared]:
            written = int(frozen.image_tokens(inputs).sum())
            if features is not None and (made := features(inputs)) != written:
                raise InputError(
                    f"of a picture of {size[0]} x {size[1]} pixels its processor writes {written} tokens, and its "
                    f"vision tower makes {made}"
                )


def _features(frozen: AnsweringModel) -> Callable[[Mapping[str, Tensor]], int]:
    """A function that gives the number of tokens that the vision tower makes of prepared inputs.

    Vision blocks pass on what they get, because they change no number of tokens.
    """
    base: Any = frozen.model.base_model
    blocks = [block for part in VisionTower(frozen).parts for block in part.blocks]
    head = frozen.model.get_output_embeddings()
    unused = [frozen.decoder, *blocks, *([head] if head is not None else [])]
    _fill(frozen.model, {id(parameter) for module in unused for parameter in module.parameters()})
    for block in blocks:
        block.forward = _passed_on
    takes = inspect.signature(base.get_image_features).parameters

    @torch.inference_mode()
    def count(inputs: Mapping[str, Tensor]) -> int:
        found = base.get_image_features(**{key: value for key, value in inputs.items() if key in takes})
        found = getattr(found, "pooler_output", found)
        return sum(part[..., 0].numel() for part in ([found] if torch.is_tensor(found) else found))

    return count


def _passed_on(hidden_states: Tensor, *_args: Any, **_kwargs: Any) -> Tensor:
    return hidden_states


def _fill(model: nn.Module, except_for: set[int]) -> None:
    """Give the other parameters memory, all zero: only shapes matter."""
    for module in model.modules():
        for key, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in except_for:
                module._parameters[key] = nn.Parameter(torch.zeros(parameter.shape), requires_grad=False)
        for key, buffer in module._buffers.items():
            if buffer is not None and buffer.is_meta:
                module._buffers[key] = torch.zeros(buffer.shape, dtype=buffer.dtype)
