"""The files of a model folder that decide what the model computes, and a quick fingerprint of their content."""

import hashlib
import json
import os
from functools import cache
from pathlib import Path
from typing import BinaryIO

# Text of the model and its processor. The index of a sharded checkpoint and reports beside the model decide nothing.
SUFFIXES = (".json", ".jinja", ".model", ".py", ".tiktoken", ".txt")
# Written by layerwise.models.conversion: where converted weights come from.
CONVERSION = "conversion.json"
NOT_DECIDING = (
    "evaluation.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    CONVERSION,
)
# Of a larger file, the fingerprint reads so many samples of so many bytes, and both ends of each tensor.
SAMPLES, SAMPLE_BYTES = 64, 4096
END_BYTES = 64


def deciding_files(folder: str | Path, weights: bool) -> list[Path]:
    """The files that decide what a model computes, with its weights or (for a twin with random weights) without.

    Weights are in the folder itself. Some processors keep text in subfolders.
    """
    folder = Path(folder)
    return [
        file
        for file in sorted(folder.rglob("*"))
        if (file.suffix == ".safetensors" and weights and file.parent == folder)
        or (file.suffix in SUFFIXES and file.name not in NOT_DECIDING and not _hidden(file.relative_to(folder)))
    ]


def weights_bytes(folder: str | Path) -> int:
    """Size on disk of a model's weights as safetensors; 0 for an architecture without weights."""
    return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))


def _hidden(file: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in file.parts)


def fingerprint(folder: str | Path, weights: bool) -> str:
    """Sixteen hexadecimal digits for a folder's content, independent of its path and its times.

    It is cheap enough for every planning of the workflow: of a large file it reads the size, evenly spaced samples and
    both ends of every tensor. Weights that were trained, merged or replaced differ there, even if it is one tensor. A
    few edited rows within a tensor may go unnoticed here; ``model.json`` holds checksums of whole files.
    """
    folder = Path(folder)
    parts = []
    for file in deciding_files(folder, weights):
        written = file.stat()
        parts.append(
            [str(file.relative_to(folder)), written.st_size, _sampled(file, written.st_size, written.st_mtime_ns)]
        )
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@cache
def _sampled(file: Path, size: int, _modified: int) -> str:
    """Cached, because several models of a study may share a folder."""
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        if size <= SAMPLES * SAMPLE_BYTES:
            digest.update(content.read())
            return digest.hexdigest()
        for i in range(SAMPLES):
            content.seek(i * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            digest.update(content.read(SAMPLE_BYTES))
        for start, end in _tensors(content, size) if file.suffix == ".safetensors" else []:
            for place in (start, max(start, end - END_BYTES)):
                digest.update(os.pread(content.fileno(), min(END_BYTES, end - place), place))
    return digest.hexdigest()


def _tensors(content: BinaryIO, size: int) -> list[tuple[int, int]]:
    """Where the tensors of a safetensors file begin and end; empty if its header cannot be read."""
    content.seek(0)
    length = int.from_bytes(content.read(8), "little")
    try:
        header = json.loads(content.read(length)) if length < size else {}
        places = [entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"]
        return sorted((8 + length + start, 8 + length + end) for start, end in places)
    except (ValueError, TypeError, KeyError, AttributeError):
        # Loading the file will say what is wrong.
        return []
