"""Read a folder back and refuse to publish what is private. What wrote the files hid it; here nothing is trusted."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from safetensors import safe_open

from layerwise.errors import InputError
from layerwise.publish.private import Private


def check_private(folder: Path, private: Private) -> None:
    """Refuse a folder in which something private is left.

    Raises:
        InputError: naming the file and what it holds.
    """
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        for where, text in [("its name", name), *_texts(file)]:
            if found := private.found(text):
                raise InputError(
                    f"nothing was published: {name} would hold {found} ({where}); take it out of the study's files, "
                    "or rename what holds it, and publish again"
                )


def _texts(file: Path) -> Iterator[tuple[str, str]]:
    """Everything in a file that is text, with where it is."""
    if file.suffix == ".parquet":
        yield from _of_parquet(file)
    elif file.suffix == ".safetensors":
        with safe_open(file, framework="np") as tensors:
            yield "its metadata", json.dumps([tensors.metadata(), list(tensors.keys())])
    else:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            yield f"line {number}", line


def _of_parquet(file: Path) -> Iterator[tuple[str, str]]:
    opened = pq.ParquetFile(file)
    for key, value in (opened.metadata.metadata or {}).items():
        if key != b"ARROW:schema":
            yield f"the metadata {key.decode()}", value.decode(errors="replace")
    for field in opened.schema_arrow:
        yield f"the metadata of {field.name}", json.dumps({str(k): str(v) for k, v in (field.metadata or {}).items()})
        if pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            column = opened.read(columns=[field.name]).column(0)
            yield f"the column {field.name}", "\n".join(text for text in pc.unique(column).to_pylist() if text)
