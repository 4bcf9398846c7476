"""Import a model's own code and fill it with its weights.

The code comes from a clone (:mod:`layerwise.models.authors.clone`) or from the model's own folder; it is never copied
into this project. Works with the older transformers of ``envs/legacy.txt``.
"""

import hashlib
import importlib
import logging
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from layerwise.errors import InputError
from layerwise.models.frozen import Shown, pictures_of
from layerwise.models.picture_checks import check_pictures

log = logging.getLogger(__name__)


def import_modules(package: str, folder: str | Path, *names: str) -> list[ModuleType]:
    """Import modules of a folder as those of a package of the given name, without the package's own ``__init__``.

    That would import the authors' whole project, including image generation, and further libraries with it.

    Raises:
        InputError: when a module, or a library that it imports, is missing.
    """
    folder = str(Path(folder).resolve())
    present = sys.modules.get(package)
    if present is None:
        present = sys.modules[package] = ModuleType(package)
        present.__path__ = [folder]
    elif list(present.__path__) != [folder]:
        raise ValueError(f"a package {package!r} was imported from {list(present.__path__)}, not from {folder}")
    try:
        return [importlib.import_module(f"{package}.{name}") for name in names]
    except ImportError as error:
        raise InputError(f"the model's code in {folder} cannot be imported: {error}") from error


@contextmanager
def replaced(module: Any, **names: Any) -> Iterator[None]:
    """Replace some names of a module while a model is built, for code with fixed paths."""
    before = {name: getattr(module, name) for name in names}
    for name, value in names.items():
        setattr(module, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)


@contextmanager
def drawn_in(dtype: torch.dtype) -> Iterator[None]:
    """Create new weights in this precision. In float32, a model of 14 billion would take twice the memory."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def fill(model: nn.Module, files: Sequence[Path], prefix: str = "", filled: str | None = None) -> set[str]:
    """Load a model's weights from safetensors files in order; a later file overrides earlier ones.

    Weights of other names are ignored, because a file may hold several parts of a model. See :func:`tell_unused`.

    Args:
        model: with parameters of the wanted precision.
        files: each with some of its weights.
        prefix: may precede the names in the files.
        filled: begins the names of parameters that already have their weights.

    Returns:
        The names in the files that were used.

    Raises:
        InputError: when a file cannot be read or does not fit, or a parameter gets no weights.
    """
    own = model.state_dict()
    wanted = {name for name, _ in model.named_parameters()}
    missing = {name for name in wanted if filled is None or not name.startswith(filled)}
    used: set[str] = set()
    for file in files:
        try:
            with safe_open(file, framework="pt") as weights:
                held = {name: name for name in weights.keys()}  # noqa: SIM118 - this is no mapping
                # Tensors that share memory are written once; the metadata gives their other names.
                shared = {name: other for name, other in (weights.metadata() or {}).items() if other in held}
                for name, other in (shared | held).items():
                    if (target := own.get(name.removeprefix(prefix))) is None:
                        continue
                    shape = list(weights.get_slice(other).get_shape())
                    if shape != list(target.shape):
                        raise InputError(f"{file}: {name} has the shape {shape}, the model {list(target.shape)}")
                    target.copy_(weights.get_tensor(other))
                    missing.discard(name.removeprefix(prefix))
                    used.add(other)
        except (OSError, SafetensorError) as error:
            raise InputError(f"{file}: cannot load these weights: {error}") from error
    if missing:
        raise InputError(
            f"{', '.join(map(str, files))}: {len(missing)} of {len(wanted)} parameters are not there, such as "
            f"{min(missing)}; is this the whole model?"
        )
    return used


def tell_unused(files: Sequence[Path], used: set[str]) -> None:
    """Warn about weights for which no part of a model has a place.

    Args:
        files: the files from which the parts were filled.
        used: the names that any part used.
    """
    for file in files:
        with safe_open(file, framework="np") as weights:
            if unused := sorted(set(weights.keys()) - used):
                log.warning("%s: %d weights are not used, such as %s", file, len(unused), unused[0])


def weight_files(folder: str | Path, last: str = "") -> list[Path]:
    """The safetensors files in a model's folder, sorted by name.

    Args:
        folder: of the model.
        last: files whose names begin with this come after the others.

    Raises:
        InputError: when there is none.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    if last:
        files.sort(key=lambda file: file.name.startswith(last))
    if not files:
        raise InputError(f"{folder}: there is no .safetensors file; docs/paper-models.md says what belongs there")
    return files


def check_whole(description: dict[str, Any]) -> None:
    """Refuse an entry that asks for quantization or several devices, which these families do not support.

    Raises:
        InputError: naming the key.
    """
    for key in ("quantization", "device_map"):
        if description.get(key) not in (None, "none"):
            raise InputError(
                f"models.{description['model']}.{key}: the adapter {description['adapter']!r} loads its model whole, "
                "on one device; leave the key out"
            )


def shown(model_type: str, images: Sequence[Shown]) -> list[Image.Image]:
    """The pictures of a batch, one for each text. These families read no text without one.

    Raises:
        InputError: when a text comes without a picture, or with several.
    """
    pictures = []
    for own in map(pictures_of, images):
        check_pictures(f"a model of type {model_type}", model_type, len(own))
        if not own:
            raise InputError("this model reads no text without an image: use `image: blank` in place of `image: none`")
        pictures += own
    return pictures


def left_padded(rows: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Pad rows of different lengths with zeros on the left.

    Args:
        rows: each of shape (tokens, ...).

    Returns:
        The rows, shape (batch, longest, ...), and a mask that is 1 where they are not padding, shape (batch, longest).
    """
    rows = list(rows)
    longest = max(len(row) for row in rows)
    padded = rows[0].new_zeros(len(rows), longest, *rows[0].shape[1:])
    mask = torch.zeros(len(rows), longest, dtype=torch.long, device=padded.device)
    for i, row in enumerate(rows):
        padded[i, longest - len(row) :] = row
        mask[i, longest - len(row) :] = 1
    return padded, mask


def positions_in(mask: Tensor) -> Tensor:
    """Positions that count from 0 at each row's first token, so that padding shifts none; shape (batch, tokens)."""
    return (mask.cumsum(1) - 1).clamp_min(0)


def seed_of(image: Image.Image) -> int:
    """A seed derived from a picture's content, so that the same is drawn for it everywhere."""
    digest = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).digest()
    return int.from_bytes(digest[:7])
