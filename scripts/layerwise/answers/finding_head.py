"""Find a model's final norm and output head among its files, without loading the model.

The model is built without memory for its weights, which tells which parameters the two have. Their values are then read
from the files, under the names that transformers itself would look them up by.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter, WeightRenaming, rename_source_key
from transformers.initialization import meta_device_safe_creation_ops

from layerwise.answers.head_file import Conversation, Head, Norm
from layerwise.errors import InputError
from layerwise.models.building import auto_class, processor_of
from layerwise.models.configuration import read_configuration
from layerwise.models.explained import explained
from layerwise.models.families import DEFAULT
from layerwise.models.head import bending_of
from layerwise.models.host import HostSide
from layerwise.models.opening import wrap_model
from layerwise.models.stored import StoredWeight, stored_weights

# How far a norm's numbers may be from the norm itself, relative to its largest output. Most norms compute in float32.
TOLERANCE = 1e-5
# Prompts that show what a conversation puts around them.
SHOWN = ("the prompt itself", 'Does "a < b" & {c} fit the image? One word:')


def find_head(description: Mapping[str, Any]) -> Head:
    """The end of a model.

    Args:
        description: ``model.json``.

    Raises:
        InputError: when the files lack the norm or the head, or these are of a form that cannot be read.
    """
    return read_off(_served(description), description)


def read_off(model: HostSide, description: Mapping[str, Any]) -> Head:
    """The end of a model that was built without its weights; see :func:`find_head`."""
    where = f"models.{description['model']}"
    if why := model.family.joins_blocks:
        raise InputError(f"{where}: {why}; the answers of its blocks cannot be read")
    folder, dtype = description["folder"], description["dtype"]
    weights = stored_weights(folder, getattr(model.model.config, "transformers_weights", None))
    found = _by_parameter(model.model, weights)
    head = model.model.get_output_embeddings()
    # The first Idefics keeps the rows of some tokens in a matrix of their own.
    if not isinstance(head, nn.Linear) or {name for name, _ in head.named_parameters()} - {"weight", "bias"}:
        raise InputError(
            f"{where}: its output head is a {type(head).__name__}, not one matrix; its answers cannot be read"
        )
    if head.in_features != model.width:
        raise InputError(
            f"{where}: its output head reads states of width {head.in_features}, but its final norm makes "
            f"{model.width}: something stands between them, and its answers cannot be read"
        )
    for name, parameter in list(model.final_norm.named_parameters(recurse=False)):
        values = _stored(model.model, parameter, found, where, folder).rows(rounded_to=dtype)
        setattr(model.final_norm, name, nn.Parameter(torch.from_numpy(values), requires_grad=False))
    return Head(
        model_type=model.model_type,
        model_digest=description["digest"],
        norm=as_numbers(model.final_norm, model.width, where),
        stored=_stored(model.model, head.weight, found, where, folder),
        stored_bias=None if head.bias is None else _stored(model.model, head.bias, found, where, folder),
        dtype=dtype,
        bending=bending_of(model.model, model.model_type),
        conversation=conversation_of(model, where),
    )


def conversation_of(model: HostSide, where: str) -> Conversation:
    """How a model reads prompts.

    Args:
        model: with or without its weights.
        where: its key, for messages.

    Raises:
        InputError: when its tokenizer is not of the library ``tokenizers``, or a conversation depends on its prompt.
    """
    tokenizer = model.processor.tokenizer
    written = getattr(tokenizer, "backend_tokenizer", None)
    if written is None or not hasattr(written, "to_str"):
        raise InputError(
            f"{where}: its {type(tokenizer).__name__} is not of the library tokenizers; its answers cannot be read"
        )
    parts = {}
    for name, pictures in (("with_image", 1), ("without_image", 0)):
        before, _, after = model.render(SHOWN[0], pictures).partition(SHOWN[0])
        if model.render(SHOWN[1], pictures) != f"{before}{SHOWN[1]}{after}":
            raise InputError(f"{where}: its conversation changes the prompts in it; its answers cannot be read")
        parts[name] = (before, after)
    return Conversation(**parts, tokenizer=written.to_str(), unknown=tokenizer.unk_token_id)


@torch.inference_mode()
def as_numbers(norm: nn.Module, width: int, where: str) -> Norm:
    """A final norm as numbers, read off what it does.

    Families write the same two norms in many ways, such as with a scale that is stored less one. What they compute
    tells them apart with certainty.

    Args:
        norm: with its weights, on the CPU.
        width: of its states.
        where: the model's key, for messages.

    Raises:
        InputError: when it is neither a LayerNorm nor an RMSNorm.
    """
    norm = norm.double()
    draw = torch.Generator().manual_seed(0)
    # Without a mean, so that both kinds of norm do the same to it.
    probe = torch.rand(1, width, generator=draw, dtype=torch.float64) + 0.5
    probe[:, ::2] *= -1
    probe -= probe.mean()
    probe /= probe.square().mean().sqrt()
    # Of large states eps takes nothing away, of small ones nearly all.
    shift = norm(torch.zeros_like(probe))[0]
    scale = ((norm(1e6 * probe)[0] - shift) / probe[0]).numpy()
    large = np.abs(scale) > np.abs(scale).max() / 2
    small = 1e-3 * probe
    shrunk = ((norm(small)[0] - shift) / small[0]).numpy()[large] / scale[large]
    eps = max(0.0, float(np.median(1 / shrunk**2)) - 1e-6)
    tried = torch.randn(8, width, generator=draw, dtype=torch.float64) + 0.5
    tried = torch.cat([tried, 1e-3 * tried, 100 * tried])
    expected = norm(tried).numpy()
    for centred in (False, True):
        numbers = Norm(scale.astype(np.float32), shift.numpy().astype(np.float32), centred, eps)
        if np.abs(numbers(tried.numpy()) - expected).max() <= TOLERANCE * np.abs(expected).max():
            return numbers
    raise InputError(
        f"{where}: its final norm, a {type(norm).__name__}, is neither a LayerNorm nor an RMSNorm; its answers cannot "
        "be read"
    )


def without_weights(folder: str | Path, trust: bool = False, adapter: str = DEFAULT.adapter) -> nn.Module:
    """The model of a folder, built without memory for its weights."""
    auto = auto_class(adapter)
    # On this device tensors have a shape but no content.
    with torch.device("meta"), meta_device_safe_creation_ops():
        config = read_configuration(folder, trust_remote_code=trust)
        return auto.from_config(config, trust_remote_code=trust).eval()


def _served(description: Mapping[str, Any]) -> HostSide:
    """The model behind its adapter, without weights, with the processor that writes its prompts."""
    name, folder = description["model"], description["folder"]
    processor = processor_of(dict(description))
    with explained(f"models.{name}: transformers cannot make a model of {folder}/config.json"):
        model = without_weights(folder, bool(description.get("trust_remote_code")), description["adapter"])
    served = wrap_model(description["adapter"], model, processor, description["conversation"])
    if not isinstance(served, HostSide):
        raise InputError(f"models.{name}: its adapter {description['adapter']} writes no prompts of transformers")
    return served


def _by_parameter(model: nn.Module, weights: Mapping[str, StoredWeight]) -> dict[str, StoredWeight]:
    """Stored weights by the names that a model's class gives its parameters, but for those that are made of several."""
    transforms: Sequence[Any] = get_model_conversion_mapping(model)
    renamings = [one for one in transforms if isinstance(one, WeightRenaming)]
    converters = [one for one in transforms if isinstance(one, WeightConverter)]
    known, prefix = model.state_dict(), model.base_model_prefix
    found = {}
    # As transformers does when it loads a model.
    for key, weight in weights.items():
        name, made_by = rename_source_key(key, renamings, converters, prefix, known)
        if name not in known and key in known:
            name, made_by = rename_source_key(key, [], [], prefix, known)
        if name in known and made_by is None:
            found[name] = weight
    return found


def _stored(
    model: nn.Module, parameter: nn.Parameter, found: Mapping[str, StoredWeight], where: str, folder: str
) -> StoredWeight:
    """Where a parameter is stored. A head that is tied to the embeddings may be stored under either name."""
    names = [name for name, one in model.named_parameters(remove_duplicate=False) if one is parameter]
    # The head's own name comes last.
    for name in reversed(names):
        if name in found and found[name].shape == tuple(parameter.shape):
            return found[name]
    raise InputError(
        f"{where}: {folder} holds no {' or '.join(names)} of shape {tuple(parameter.shape)}, which reading its answers "
        "needs"
    )
