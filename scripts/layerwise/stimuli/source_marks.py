"""What tells, when a run is planned, whether the files behind a stimulus set are still the ones it was made from.

Cheap, because each plan asks, and never too lenient: where a mark changes though the content does not, the stimuli are
made again and the hidden states are kept (:mod:`layerwise.jobs.kept`). Nothing here checks a file or complains of it;
the builders do.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from layerwise.datasets.table import read_cells
from layerwise.errors import InputError


def written(file: str | Path) -> list[int] | None:
    """Size and time of writing; None for a file that is not there."""
    try:
        found = Path(file).stat()
    except (OSError, ValueError):
        # A name with a null character is no file's.
        return None
    return [found.st_size, found.st_mtime_ns]


def files_mark(files: Iterable[str | Path]) -> list[Any]:
    """A mark of annotation files: too large to read for each plan."""
    return [[Path(file).name, written(file)] for file in files]


def table_mark(entry: dict[str, Any]) -> str:
    """A mark of what a user's table shows: the cells of its rows that are no labels, and size and time of its pictures.

    Args:
        entry: a config entry of kind ``table``.
    """
    file = Path(entry["file"])
    keys = ("image_column", "id_column", "text_column", "split_column")
    columns = [entry[key] for key in keys if key in entry]
    digest = hashlib.sha256()
    pictures: dict[str, list[int] | None] = {}
    root = Path(entry.get("image_root", file.parent))
    try:
        for row in read_cells(file, columns):
            if row[0] not in pictures:
                pictures[row[0]] = written(root / str(row[0]))
            digest.update(json.dumps([row, pictures[row[0]]], default=str).encode())
    except InputError:
        # No table that can be read: the job that makes the stimuli says why.
        return json.dumps(written(file))
    return digest.hexdigest()
