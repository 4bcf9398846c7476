"""Check that a model's files hold all of its weights.

transformers draws weights that it does not find at random and says so in one line of a log. The states of such a model
look like any others, and differ between processes. So the names and shapes in the headers of the files, after
transformers' own renaming of older checkpoints, are compared with the model's before anything is run.
"""

import importlib.util
import json
import logging
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import AutoModelForImageTextToText
from transformers.initialization import meta_device_safe_creation_ops
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME

from layerwise.errors import InputError
from layerwise.models.configuration import read_configuration

log = logging.getLogger(__name__)

# How many weights a message names.
NAMED = 3


def check_weights(name: str, folder: Path, trust: bool, auto: Any = AutoModelForImageTextToText) -> None:
    """Compare the weights in a model's folder with the model's. Only the headers of the files are read.

    Args:
        name: the model's name in the config.
        folder: holds ``config.json`` and safetensors.
        trust: whether code that comes with the model may run.
        auto: the class of transformers that builds the model, see :func:`layerwise.models.building.auto_class`.

    Raises:
        InputError: when a weight is missing or has another shape, a file is missing or damaged, or transformers cannot
            build the model.
    """
    config = read_configuration(folder, trust_remote_code=trust)
    held = _held(name, _files(name, folder, getattr(config, "transformers_weights", None)))
    if getattr(config, "quantization_config", None):
        # The names depend on the package that quantized them, and that may need a GPU.
        log.info("models.%s: its weights are quantized; they are compared with the model when they are loaded", name)
        return
    if importlib.util.find_spec("accelerate") is None:
        log.warning("models.%s: without accelerate, its weights are compared with the model only when loaded", name)
        return
    try:
        # On this device tensors have a shape but no content.
        with torch.device("meta"), meta_device_safe_creation_ops():
            model = auto.from_config(config, trust_remote_code=trust)
        _, report = type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=held,
            device_map={"": "meta"},
            # transformers looks for other kernels on a GPU.
            attn_implementation="eager",
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except ImportError as error:
        raise InputError(f"models.{name}: {folder} needs a package that is not here: {error}") from error
    except (OSError, ValueError, RuntimeError, AttributeError, KeyError, TypeError) as error:
        raise InputError(
            f"models.{name}: transformers cannot make a model of {folder / 'config.json'} and the weights beside it: "
            f"{type(error).__name__}: {error}"
        ) from error
    check_report(name, folder, report)


def check_report(name: str, folder: str | Path, report: Mapping[str, Any]) -> None:
    """Refuse a model that its files did not fill; warn about weights in the files that it has no place for.

    Args:
        name: the model's name in the config.
        folder: where the files lie.
        report: what ``from_pretrained`` returns for ``output_loading_info``. It leaves out tied weights and those that
            transformers knows to be unnecessary.

    Raises:
        InputError: naming the first few weights that are missing or have another shape.
    """
    missing, unexpected = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    mismatched = sorted((key, *map(tuple, shapes)) for key, *shapes in report["mismatched_keys"])
    left = f"{folder} holds weights that the model has no place for ({len(unexpected)}): {_some(unexpected)}"
    wrong = []
    if missing:
        wrong.append(f"{folder} lacks weights of the model ({len(missing)}): {_some(missing)}")
    if mismatched:
        shapes = [f"{key} is {_shape(there)}, the model's {_shape(wanted)}" for key, there, wanted in mismatched]
        wrong.append(
            f"{folder} holds weights of another shape than config.json says ({len(mismatched)}): {_some(shapes)}"
        )
    if wrong:
        renamed = f" ({left}; are they the same ones, renamed?)" if unexpected else ""
        raise InputError(
            f"models.{name}: {'; '.join(wrong)}{renamed}. They would be drawn at random. Take files that hold the "
            "whole model, under the names that this version of transformers gives its weights, or `weights: random` "
            "for an untrained twin"
        )
    if unexpected:
        log.warning("models.%s: %s. They are ignored", name, left)


def _files(name: str, folder: Path, named: str | None) -> list[Path]:
    """The files from which transformers takes the weights."""
    single, index = (folder / (named or file) for file in (SAFE_WEIGHTS_NAME, SAFE_WEIGHTS_INDEX_NAME))
    if single.is_file() and not single.name.endswith(".index.json"):
        return [single]
    if not index.is_file():
        raise InputError(
            f"models.{name}: {folder} has neither {single.name} nor {index.name}; its .safetensors files are not in "
            "the layout that transformers reads"
        )
    try:
        shards = [folder / shard for shard in sorted(set(json.loads(index.read_text())["weight_map"].values()))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"models.{name}: {index} is no index of weights ({error}); replace it") from error
    if absent := [shard.name for shard in shards if not shard.is_file()]:
        raise InputError(
            f"models.{name}: {len(absent)} of the {len(shards)} files that {index} lists are not there: "
            f"{_some(absent)}; copy or download them"
        )
    return shards


def _held(name: str, files: Collection[Path]) -> dict[str, Tensor]:
    """The weights in some files, as tensors without content."""
    held = {}
    for file in files:
        try:
            # With framework="pt" a file is mapped as writable, which reserves memory of its full size.
            with safe_open(file, framework="np") as weights:
                for key in weights.keys():  # noqa: SIM118 - this is no mapping
                    held[key] = torch.empty(weights.get_slice(key).get_shape(), device="meta")
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"models.{name}: {file} is damaged or no safetensors file ({error}); replace it"
            ) from error
    return held


def _some(names: Collection[str]) -> str:
    """The first few of some names."""
    first = list(names)[:NAMED]
    return ", ".join(first) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a single number"
