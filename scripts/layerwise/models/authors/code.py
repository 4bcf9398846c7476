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

log = logging.getLogger(__name__)

# Operators that torchvision describes when it is imported, whether it has them or not.
DESCRIBED_OPERATORS = ("nms", "qnms")


def import_modules(package: str, folder: str | Path, *names: str) -> list[ModuleType]:
    """Modules of a folder as those of a package of the given name, without running the package's own ``__init__``.

    An ``__init__`` imports all that the authors' project does, image generation too, and with it further libraries.

    Raises:
        InputError: when a module, or a library that it imports, is not there.
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


def import_torchvision() -> None:
    """Import torchvision, also where its compiled operators are missing.

    The default wheel is built for CUDA. Beside a torch for CPU only, its operators cannot be loaded, and importing it
    fails at the first one that it describes. The models' code wants its transforms of pictures, which need none.
    """
    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        log.info("torchvision does not fit this torch; it is used without its compiled operators")
        for name in DESCRIBED_OPERATORS:
            torch.library.define(f"torchvision::{name}", "(Tensor dets, Tensor scores, float threshold) -> Tensor")
        importlib.import_module("torchvision")


@contextmanager
def replaced(module: Any, **names: Any) -> Iterator[None]:
    """Give a module other values for some of its names while a model is built: code that says where its files lie."""
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
    """New weights are of this precision; a model of 14 billion would take twice the memory otherwise."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def fill(model: nn.Module, files: Sequence[Path], prefix: str = "", filled: str | None = None) -> set[str]:
    """Give a model its weights from safetensors files, one after the other; a later file has the last word.

    Weights of other names are left: a file may hold several parts of a model. See :func:`tell_unused`.

    Args:
        model: with parameters of the wanted precision.
        files: each with some of its weights.
        prefix: what may stand before the names in the files.
        filled: how the names of parameters begin that have their weights already.

    Returns:
        The names in the files that were used.

    Raises:
        InputError: when a file cannot be read, does not fit, or parameters are left without weights.
    """
    own = model.state_dict()
    wanted = {name for name, _ in model.named_parameters()}
    missing = {name for name in wanted if filled is None or not name.startswith(filled)}
    used: set[str] = set()
    for file in files:
        try:
            with safe_open(file, framework="pt") as weights:
                held = {name: name for name in weights.keys()}  # noqa: SIM118 - this is no mapping
                # Tensors that share memory are written once; the file says under which other name.
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
    """Warn of weights that no part of a model has a place for.

    Args:
        files: what the parts were filled from.
        used: the names that were used for any of them.
    """
    for file in files:
        with safe_open(file, framework="np") as weights:
            if unused := sorted(set(weights.keys()) - used):
                log.warning("%s: %d weights are not used, such as %s", file, len(unused), unused[0])


def weight_files(folder: str | Path, last: str = "") -> list[Path]:
    """The safetensors files in a model's folder, in the order of their names.

    Args:
        folder: of the model.
        last: how the names of files begin that come after the others.

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
    """These families are loaded as they are.

    Raises:
        InputError: when the entry asks for fewer bits or several devices.
    """
    for key in ("quantization", "device_map"):
        if description.get(key) not in (None, "none"):
            raise InputError(
                f"models.{description['model']}.{key}: the adapter {description['adapter']!r} loads its model whole, "
                "on one device; leave the key out"
            )


def shown(images: Sequence[Image.Image | None]) -> list[Image.Image]:
    """The pictures of a batch: these families read no text without one.

    Raises:
        InputError: when a text comes without a picture.
    """
    pictures = [image for image in images if image is not None]
    if len(pictures) < len(images):
        raise InputError("this model reads no text without an image: use `image: blank` in place of `image: none`")
    return pictures


def left_padded(rows: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows of different lengths in one tensor, zeros on the left, and where there is something.

    Args:
        rows: each of shape (tokens, ...).

    Returns:
        Shapes (batch, longest, ...) and (batch, longest).
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
    """Positions from 0 at each row's first token, so that padding moves none; shapes (batch, tokens)."""
    return (mask.cumsum(1) - 1).clamp_min(0)


def seed_of(image: Image.Image) -> int:
    """A seed that belongs to a picture: wherever and whenever it is shown, the same is drawn for it."""
    digest = hashlib.sha256(f"{image.size}".encode() + image.tobytes()).digest()
    return int.from_bytes(digest[:7])
