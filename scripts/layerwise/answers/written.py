"""What a model wrote, by item: ``results/written/{model}/{stimuli}/{prompt}.parquet``.

Columns ``item_id`` and ``text``, in the stimuli's order. Items that show the model the same have the same text. The
metadata say what the texts were made from.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.errors import InputError

KEY = b"layerwise.written"


def write_texts(path: Path, texts: pd.DataFrame, cell: Mapping[str, Any]) -> None:
    """Write what a model wrote: ``item_id``, ``text``."""
    table = pa.Table.from_pandas(texts[["item_id", "text"]], preserve_index=False)
    pq.write_table(table.replace_schema_metadata({**(table.schema.metadata or {}), KEY: json.dumps(cell)}), path)


def read_texts(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """What a model wrote, and what it was made from.

    Raises:
        InputError: when the file is missing, or is no such table.
    """
    try:
        table = pq.read_table(path)
        return table.to_pandas(), json.loads(table.schema.metadata[KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
        raise InputError(f"{path}: cannot be read as written answers ({error}); delete it and run again") from error


def holds(path: Path, content: Mapping[str, Any]) -> bool:
    """Whether a file is finished and was made from this."""
    try:
        _, written = read_texts(path)
    except InputError:
        return False
    return all(written.get(key) == value for key, value in content.items())


def as_bytes(texts: Sequence[str]) -> np.ndarray:
    """Texts in UTF-8, padded with zeros to the length of the longest, shape (texts, bytes)."""
    encoded = [text.replace("\0", "").encode() for text in texts]
    longest = max(1, *map(len, encoded))
    return np.array([list(one.ljust(longest, b"\0")) for one in encoded], dtype=np.uint8)


def as_text(row: np.ndarray) -> str:
    """The text that :func:`as_bytes` made a row of."""
    return bytes(row.tolist()).rstrip(b"\0").decode()
