"""What tells, when a run is planned, whether the files behind a stimulus set are still the ones it was made from.

Cheap, because each plan asks, and never too lenient: where a mark changes though the content does not, the stimuli are
made again and the hidden states are kept (:mod:`layerwise.states.kept`). Nothing here checks a file or complains of it;
the builders do.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


def written(file: str | Path) -> list[int] | None:
    """Size and time of writing; None for a file that is not there."""
    try:
        found = Path(file).stat()
    except OSError:
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
        for row in (_csv_rows if file.suffix == ".csv" else _parquet_rows)(file, columns):
            if row[0] not in pictures:
                pictures[row[0]] = written(root / str(row[0]))
            digest.update(json.dumps([row, pictures[row[0]]], default=str).encode())
    except (OSError, ValueError, KeyError, csv.Error):
        # No table that can be read: the job that makes the stimuli says why.
        return json.dumps(written(file))
    return digest.hexdigest()


def _csv_rows(file: Path, columns: list[str]) -> Iterator[list[str]]:
    with open(file, newline="", encoding="utf-8-sig") as text:
        rows = csv.reader(text)
        header = next(rows, [])
        places = [header.index(column) for column in columns]
        for row in rows:
            # A blank line is no row, and a short one lacks its last cells.
            if row:
                yield [row[place] if place < len(row) else "" for place in places]


def _parquet_rows(file: Path, columns: list[str]) -> Iterator[list[Any]]:
    # Slow to import, and few studies need it.
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(file, columns=columns)
    for batch in table.to_batches():
        yield from map(list, zip(*(batch.column(column).to_pylist() for column in columns), strict=True))
