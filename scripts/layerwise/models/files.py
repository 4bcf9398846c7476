"""Which files of a model folder decide what the model computes, and a way to tell folders apart without reading all."""

import hashlib
import json
from pathlib import Path

# Text of the model and its processor, and code that lies beside the weights. The index of a sharded checkpoint and
# reports beside the model decide nothing.
SUFFIXES = (".json", ".jinja", ".model", ".txt", ".tiktoken", ".py")
NOT_DECIDING = ("evaluation.json", "generation_config.json", "model.safetensors.index.json")
# Of a larger file, so many samples of so many bytes are read.
SAMPLES, SAMPLE_BYTES = 64, 4096


def deciding_files(folder: str | Path, weights: bool) -> list[Path]:
    """The files that decide what a model computes, with its weights or (for a twin with random ones) without.

    Some families keep the parts of a model in folders of their own.
    """
    return [
        file
        for file in sorted(Path(folder).rglob("*"))
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
        if (file.suffix == ".safetensors" and weights) or (file.suffix in SUFFIXES and file.name not in NOT_DECIDING)
    ]


def fingerprint(folder: str | Path, weights: bool) -> str:
    """Sixteen hexadecimal digits for a folder's content, wherever it lies and whenever it was written.

    Cheap enough to take each time the workflow is planned: of a large file its size and samples from all over it are
    read. Other weights of the same shape differ in those.
    """
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
