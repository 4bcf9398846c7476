"""What is needed of a model to read its answers off its states: ``head.safetensors`` beside its ``model.json``.

Tensors:

- ``scale``, ``shift``: of the final norm, shape (width,), float32
- ``tokenizer``: the tokenizer as the library ``tokenizers`` writes it, in UTF-8; shape (bytes,), uint8

The metadata ``head`` are JSON: the norm's ``centred`` and ``eps``, what the family does to logits, where the output
head lies on disk, and what stands before and after a prompt.
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
class Conversation:
    """How a prompt becomes the text that a model reads.

    Attributes:
        with_image: what stands before and after a prompt about an image.
        without_image: the same for a text alone.
        tokenizer: as the library ``tokenizers`` writes it, in JSON.
        unknown: the token of what the tokenizer does not know; None if there is none.
    """

    with_image: tuple[str, str]
    without_image: tuple[str, str]
    tokenizer: str
    unknown: int | None

    def render(self, prompt: str, with_image: bool) -> str:
        """The whole text of a prompt."""
        before, after = self.with_image if with_image else self.without_image
        return f"{before}{prompt}{after}"


@dataclass(frozen=True)
class Head:
    """The end of a model: its final norm and its output head, and how it reads prompts.

    Attributes:
        model_type: the family's name, for messages.
        model_digest: of the ``model.json`` that this was read for.
        norm: the final norm.
        stored, stored_bias: the output head on disk, shape (vocabulary, width); its bias, or None.
        dtype: the precision in which the model runs.
        bending: what the family does to the head's products.
        conversation: how it reads prompts.
    """

    model_type: str
    model_digest: str
    norm: Norm
    stored: StoredWeight
    stored_bias: StoredWeight | None
    dtype: str
    bending: Bending
    conversation: Conversation


def write_head(path: Path, head: Head) -> None:
    """Write the end of a model."""
    arrays: dict[str, np.ndarray] = {
        "scale": np.ascontiguousarray(head.norm.scale, np.float32),
        "shift": np.ascontiguousarray(head.norm.shift, np.float32),
        "tokenizer": np.frombuffer(head.conversation.tokenizer.encode(), np.uint8),
    }
    told: dict[str, Any] = asdict(head)
    for name in ("scale", "shift"):
        del told["norm"][name]
    del told["conversation"]["tokenizer"]
    save_file(arrays, path, {"head": json.dumps(told)})


def read_head(path: Path, model_digest: str | None = None) -> Head:
    """Read the end of a model.

    Args:
        path: of the file.
        model_digest: of the ``model.json`` that it must be of.

    Raises:
        InputError: when the file is missing, damaged, or of another model.
    """
    try:
        with safe_open(path, framework="np") as file:
            told = json.loads(file.metadata()["head"])
            scale, shift, tokenizer = (file.get_tensor(name) for name in ("scale", "shift", "tokenizer"))
        spoken = {name: tuple(told["conversation"][name]) for name in ("with_image", "without_image")}
        head = Head(
            model_type=told["model_type"],
            model_digest=told["model_digest"],
            norm=Norm(scale, shift, **told["norm"]),
            stored=_stored(told["stored"]),
            stored_bias=None if told["stored_bias"] is None else _stored(told["stored_bias"]),
            dtype=told["dtype"],
            bending=Bending(**told["bending"] | {"never": tuple(told["bending"]["never"])}),
            conversation=Conversation(
                **spoken, tokenizer=tokenizer.tobytes().decode(), unknown=told["conversation"]["unknown"]
            ),
        )
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged, or no head of a model ({error}); delete it and run again") from error
    if model_digest not in (None, head.model_digest):
        raise InputError(f"{path}: is of another model than model.json; delete it and run again")
    return head


def _stored(told: dict[str, Any]) -> StoredWeight:
    return StoredWeight(**told | {"shape": tuple(told["shape"])})
