"""Load a model's weights and its processor from the folder that ``model.json`` names, onto one device or several."""

import importlib.util
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import BitsAndBytesConfig

from layerwise.errors import InputError
from layerwise.models.building import auto_class, processor_of
from layerwise.models.configuration import read_configuration
from layerwise.models.explained import said_by
from layerwise.models.memory import lacking_memory
from layerwise.models.weights_check import check_report


def load_model(description: dict[str, Any], device: str) -> tuple[nn.Module, Any]:
    """Load a model in evaluation mode, frozen, and its processor. Random weights are drawn from the description's seed.

    Args:
        description: see :func:`layerwise.models.registration.describe_model`. Its key ``device_map``, which is no part
            of what the model computes, spreads the model over devices as accelerate does.
        device: as torch names it, for a model that is not spread.

    Raises:
        InputError: when the folder holds no model that transformers knows or not all of its weights, a package is
            missing, the image processor is not the registered one, or the device's memory does not hold the weights.
    """
    name, folder = description["model"], description["folder"]
    trust = {"trust_remote_code": bool(description.get("trust_remote_code"))}
    dtype = getattr(torch, description["dtype"])
    placed = _placement(description, dtype, device)
    processor, auto = processor_of(description), auto_class(description["adapter"])
    try:
        config = read_configuration(folder, **trust)
        if description["weights"] == "random":
            # The seed must affect the twin's weights only.
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(description["seed"])
                model = auto.from_config(config, dtype=dtype, **trust)
            if "device_map" in placed:
                model = _spread(model, placed["device_map"])
        else:
            how = {"dtype": dtype, "use_safetensors": True} | placed | trust
            # check_report names weights of another shape together with missing ones.
            told = {"output_loading_info": True, "ignore_mismatched_sizes": True}
            model, report = auto.from_pretrained(folder, config=config, **how, **told)
            check_report(name, folder, report)
        if "device_map" not in placed:
            model = model.to(device)
    except ImportError as error:
        # Some processors need a package of their own and name it.
        raise InputError(f"models.{name}: {folder} needs a package that is not here: {error}") from error
    except InputError:
        raise
    except (OSError, ValueError, SafetensorError) as error:
        raise InputError(f"models.{name}: cannot load {folder}: {error}") from error
    except Exception as error:
        # A family's own code may raise anything.
        if (reason := lacking_memory(error)) is None:
            raise InputError(
                f"models.{name}: cannot build a model of type {description['model_type']} from {folder}: "
                f"{said_by(error)}"
            ) from error
        raise InputError(
            f"models.{name}: the device's memory does not hold the weights ({reason}); end other programs on it, load "
            "them as bfloat16 (dtype), or spread them over several cards (device_map: auto, cards); without a card: "
            "more memory for the job (mem_mb)"
        ) from error
    return model.eval().requires_grad_(False), processor


def _placement(description: dict[str, Any], dtype: torch.dtype, device: str) -> dict[str, Any]:
    """Arguments of ``from_pretrained`` for a model that is quantized or spread."""
    name, quantization = description["model"], description.get("quantization", "none")
    device_map = description.get("device_map")
    if quantization == "none" and device_map is None:
        return {}
    _need("accelerate", f"models.{name}.{'device_map' if device_map else 'quantization'}")
    if quantization == "none":
        return {"device_map": device_map}
    _need("bitsandbytes", f"models.{name}.quantization")
    if quantization == "8bit":
        config = BitsAndBytesConfig(load_in_8bit=True)
    else:
        # As in QLoRA (Dettmers et al. 2023, section 3): 4-bit NormalFloat, products in the model's own precision.
        config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    return {"quantization_config": config, "device_map": device_map or {"": device}}


def _spread(model: nn.Module, device_map: str | dict[str, Any]) -> nn.Module:
    """Spread a model that was not loaded from a file; ``device_map`` is as in ``from_pretrained``."""
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    if isinstance(device_map, str):
        whole = {"no_split_module_classes": list(model._no_split_modules)}
        memory = None
        if device_map != "sequential":
            memory = get_balanced_memory(model, low_zero=device_map == "balanced_low_0", **whole)
        device_map = infer_auto_device_map(model, max_memory=memory, **whole)
    return dispatch_model(model, device_map)


def _need(package: str, key: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise InputError(f"{key} needs the package {package}; install it, or leave the key out")


def input_device(model: nn.Module) -> torch.device:
    """The device for a model's inputs: where its embeddings are computed, which need not be where they are stored."""
    embeddings = model.get_input_embeddings()
    hook = getattr(embeddings, "_hf_hook", None)
    device = getattr(hook, "execution_device", None)
    return embeddings.weight.device if device is None else torch.device(device)
