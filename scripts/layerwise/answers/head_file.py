"""What is needed of a model to read its answers off its states: ``head.safetensors`` beside its ``model.json``.

Tensors, all float32:

- ``scale``, ``shift``: of the final norm, shape (width,)
- ``rows``: those rows of the output head that some prompt's answers need, shape (tokens, width)
- ``bias``: of these rows, shape (tokens,); zeros where the head has none

The metadata ``head`` are JSON: the norm's ``centred`` and ``eps``, what the family does to logits, where the whole head
lies on disk, which ``tokens`` the rows belong to, and the tokens of every prompt by stimulus set.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from layerwise.errors import InputError
from layerwise.models.head import Bending
from layerwise.models.stored import StoredWeight


@dataclass(frozen=True)
class Norm:
    """A final norm as numbers: of a state x it makes scale * (x - mean) / sqrt(variance + eps) + shift.

    Attributes:
        scale, shift: shape (width,), float32.
        centred: whether the mean is subtracted (LayerNorm). Otherwise mean squares take the place of the variance
            (RMSNorm).
        eps: as above.
    """

    scale: np.ndarray
    shift: np.ndarray
    centred: bool
    eps: float

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """The norm of states, shape (..., width), in their own precision."""
        if self.centred:
            states = states - states.mean(-1, keepdims=True)
        mean_square = np.einsum("...w,...w->...", states, states)[..., None] / states.shape[-1]
        return states * (1 / np.sqrt(mean_square + self.eps)).astype(states.dtype) * self.scale + self.shift


@dataclass(frozen=True)
class Asked:
    """A prompt, and the tokens with which the model would begin to answer it.

    Attributes:
        entry: of the prompt, as the config has it.
        tokens: for each class the tokens that count, each with ``id`` and ``text``.
    """

    entry: dict[str, Any]
    tokens: dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Head:
    """The end of a model: its final norm and its output head.

    Attributes:
        norm: the final norm.
        tokens: ids of the tokens that ``rows`` and ``bias`` belong to.
        rows: shape (tokens, width), float32.
        bias: shape (tokens,), float32.
        bending: what the family does to the products.
        stored, stored_bias: the whole head on disk; its bias, or None.
        dtype: the precision in which the model runs.
        model_digest: of the ``model.json`` that this was read for.
        asked: by stimulus set and prompt.
    """

    norm: Norm
    tokens: list[int]
    rows: np.ndarray
    bias: np.ndarray
    bending: Bending
    stored: StoredWeight
    stored_bias: StoredWeight | None
    dtype: str
    model_digest: str
    asked: dict[str, dict[str, Asked]]


def write_head(path: Path, head: Head) -> None:
    """Write the end of a model."""
    arrays = {"scale": head.norm.scale, "shift": head.norm.shift, "rows": head.rows, "bias": head.bias}
    described = {
        "centred": head.norm.centred,
        "eps": head.norm.eps,
        "tokens": head.tokens,
        "bending": asdict(head.bending),
        "stored": asdict(head.stored),
        "stored_bias": None if head.stored_bias is None else asdict(head.stored_bias),
        "dtype": head.dtype,
        "model_digest": head.model_digest,
        "asked": {name: {p: asdict(asked) for p, asked in of.items()} for name, of in head.asked.items()},
    }
    save_file(
        {name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()},
        path,
        {"head": json.dumps(described)},
    )


def read_head(path: Path) -> Head:
    """Read the end of a model.

    Raises:
        InputError: when the file is missing, damaged, or of another kind.
    """
    try:
        with safe_open(path, framework="np") as file:
            told = json.loads(file.metadata()["head"])
            arrays = {name: file.get_tensor(name) for name in ("scale", "shift", "rows", "bias")}
        bending = told["bending"] | {"never": tuple(told["bending"]["never"])}
        return Head(
            norm=Norm(arrays["scale"], arrays["shift"], told["centred"], told["eps"]),
            tokens=told["tokens"],
            rows=arrays["rows"],
            bias=arrays["bias"],
            bending=Bending(**bending),
            stored=_stored(told["stored"]),
            stored_bias=None if told["stored_bias"] is None else _stored(told["stored_bias"]),
            dtype=told["dtype"],
            model_digest=told["model_digest"],
            asked={name: {p: Asked(**asked) for p, asked in of.items()} for name, of in told["asked"].items()},
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged, or no head of a model ({error}); delete it and run again") from error


def asked_in(head: Head, path: Path, stimuli: str, prompt: str, entry: dict[str, Any], model_digest: str) -> Asked:
    """What a head's file knows of a prompt.

    Args:
        head: that was read.
        path: of its file, for messages.
        stimuli, prompt: names.
        entry: of the prompt, as the config has it now.
        model_digest: of the model's ``model.json``.

    Raises:
        InputError: when the file was made for another model or another wording.
    """
    asked = head.asked.get(stimuli, {}).get(prompt)
    if head.model_digest != model_digest or asked is None or asked.entry != entry:
        raise InputError(f"{path}: was made for another model, or another wording of {prompt}; delete it and run again")
    return asked


def _stored(told: dict[str, Any]) -> StoredWeight:
    return StoredWeight(**told | {"shape": tuple(told["shape"])})
