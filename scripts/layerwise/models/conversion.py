"""Convert weights of the older formats (``.bin``, ``.pt``) to safetensors, without running code that they may hold.

Such files are pickles. Their checksums are pinned in the config and compared first, and only tensors are loaded.
"""

import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from torch import Tensor

from layerwise.checksums import file_sha256
from layerwise.errors import InputError
from layerwise.models.files import CONVERSION, deciding_files
from layerwise.models.hub import CODE, TEXT, snapshot

# Keys under which training code keeps the weights beside other things.
INSIDE = ("state_dict", "model_state_dict", "model", "module")


def convert(name: str, entry: dict[str, Any], out: Path) -> None:
    """Make a model folder with the weights of the files that ``convert`` names, and the text files beside them.

    If two files hold a weight of the same name, the file that is named later wins.

    Args:
        name: the model's name in the config.
        entry: its config entry with ``source`` and ``convert``, checksums by file, as a mapping or as pairs.
        out: the folder. It is written under a temporary name and renamed.

    Raises:
        InputError: when a file is missing, has another checksum, or holds more than tensors.
    """
    source, pinned, revision = entry["source"], dict(entry["convert"]), None
    if Path(source).is_dir():
        folder = Path(source)
    else:
        code = CODE if entry.get("trust_remote_code") else []
        folder, revision = snapshot(name, source, entry.get("revision"), [*TEXT, *code, *pinned])
    found = {file: _sha256(name, folder, file) for file in pinned}
    if "unpinned" in pinned.values():
        lines = "\n".join(f"      {file}: {digest}" for file, digest in found.items())
        raise InputError(
            f"models.{name}.convert: these files are not pinned yet. They are kept; compare their SHA-256 with those "
            f"on the model's page, then write into the config:\n    convert:\n{lines}"
        )
    for file, expected in pinned.items():
        if found[file] != expected:
            raise InputError(
                f"models.{name}.convert: {folder / file} has the SHA-256 {found[file]}, but the config pins "
                f"{expected}; it is another file, or a damaged one"
            )
    tensors: dict[str, Tensor] = {}
    for file in pinned:
        tensors |= _tensors(name, folder / file)
    partial = out.with_name(f".{out.name}.partial-{os.getpid()}")
    partial.mkdir(parents=True)
    try:
        # A single file, whatever its size. Weights that share memory are written once.
        save_torch_state_dict(tensors, partial, max_shard_size="1000TB", metadata={"format": "pt"})
        # For a model with code of its own, the generation settings may say how it is addressed.
        for file in [*deciding_files(folder, weights=False), *folder.glob("generation_config.json")]:
            (partial / file.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, partial / file.relative_to(folder))
        (partial / CONVERSION).write_text(json.dumps({"revision": revision, "files": pinned}, indent=2) + "\n")
        for file in partial.rglob("*"):
            if file.is_file():
                with open(file, "rb") as content:
                    os.fsync(content.fileno())
        shutil.rmtree(out, ignore_errors=True)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sha256(name: str, folder: Path, file: str) -> str:
    try:
        return file_sha256(folder / file)
    except OSError as error:
        there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.suffix in (".bin", ".pt"))
        raise InputError(
            f"models.{name}.convert: cannot read {folder / file}: {error}; there are "
            f"{', '.join(there) or 'no such files'}"
        ) from error


def _tensors(name: str, file: Path) -> dict[str, Tensor]:
    """The weights of one file by name. They stay on disk until they are written, if the format allows it."""
    try:
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:
            # Files from before torch 1.6 cannot be mapped.
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(
            f"models.{name}.convert: {file} cannot be loaded as tensors only ({error}); it is damaged, or holds code"
        ) from error
    for key in INSIDE:
        if isinstance(loaded, dict) and isinstance(loaded.get(key), dict):
            loaded = loaded[key]
    if not isinstance(loaded, dict) or not loaded or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError(f"models.{name}.convert: {file} is no table of weights by name")
    return loaded
