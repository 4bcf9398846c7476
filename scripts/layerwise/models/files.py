"""Which files of a model folder decide what the model computes, and a way to tell folders apart without reading all."""

import hashlib
import json
from pathlib import Path

# Text of the model and its processor. The index of a sharded checkpoint and reports beside the model decide nothing.
SUFFIXES = (".json", ".jinja", ".model", ".py", ".tiktoken", ".txt")
# What layerwise.models.conversion writes of where converted weights come from.
CONVERSION = "conversion.json"
NOT_DECIDING = (
    "evaluation.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    CONVERSION,
)
# Of a larger file, so many samples of so many bytes are read.
SAMPLES, SAMPLE_BYTES = 64, 4096


def deciding_files(folder: str | Path, weights: bool) -> list[Path]:
    """The files that decide what a model computes, with its weights or (for a twin with random ones) without.

    Weights lie in the folder itself. Some processors keep text in folders below it.
    """
    folder = Path(folder)
    return [
        file
        for file in sorted(folder.rglob("*"))
        if (file.suffix == ".safetensors" and weights and file.parent == folder)
        or (file.suffix in SUFFIXES and file.name not in NOT_DECIDING and not _hidden(file.relative_to(folder)))
    ]


def weights_bytes(folder: str | Path) -> int:
    """What a model's weights take on disk, as safetensors; 0 for an architecture without weights."""
    return sum(file.stat().st_size for file in Path(folder).glob("*.safetensors"))


def _hidden(file: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in file.parts)


def fingerprint(folder: str | Path, weights: bool) -> str:
    """Sixteen hexadecimal digits for a folder's content, wherever it lies and whenever it was written.

    Cheap enough to take each time the workflow is planned: of a large file its size and samples from all over it are
    read. Other weights of the same shape differ in those.
    """
    folder = Path(folder)
    parts = [
        [str(file.relative_to(folder)), file.stat().st_size, _sampled(file)] for file in deciding_files(folder, weights)
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _sampled(file: Path) -> str:
    size = file.stat().st_size
    digest = hashlib.sha256()
    with open(file, "rb") as content:
        if size <= SAMPLES * SAMPLE_BYTES:
            digest.update(content.read())
        else:
            for i in range(SAMPLES):
                content.seek(i * (size - SAMPLE_BYTES) // (SAMPLES - 1))
                digest.update(content.read(SAMPLE_BYTES))
    return digest.hexdigest()
