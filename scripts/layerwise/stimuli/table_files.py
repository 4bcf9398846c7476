"""Where the rows of a table lie, and what tells when they have changed."""

import hashlib
import json
from pathlib import Path
from typing import Any

from layerwise.datasets.file_marks import files_mark, written
from layerwise.datasets.hub_files import HubFiles
from layerwise.datasets.tables import read_rows, table_files
from layerwise.errors import InputError
from layerwise.stimuli.table_entry import Entry, FileOrFiles
from layerwise.stimuli.table_rows import TablePart, cell_path, holds_pictures


def files_of(entry: Entry) -> list[Path]:
    """The files of a user's own table.

    Raises:
        InputError: when there are none, or one is in two splits.
    """
    if not isinstance(entry.file, dict):
        return table_files(entry.file or "")
    split_of: dict[Path, str] = {}
    for split, file in entry.file.items():
        for path in table_files(file):
            if (other := split_of.setdefault(path, split)) != split:
                raise InputError(f"{path} is in the splits {other} and {split}; name it in one of them")
    return sorted(split_of)


def roots_of(entry: Entry) -> list[Path]:
    """The folders that the user names, or those of the table's files."""
    roots = [entry.image_root] if isinstance(entry.image_root, str) else entry.image_root
    if roots is not None:
        return list(map(Path, roots))
    return list(dict.fromkeys(file.parent for file in files_of(entry))) if entry.file is not None else []


def own_parts(entry: Entry) -> list[TablePart]:
    """The rows of a user's own table: one part, or a part for each split that has files of its own.

    Raises:
        InputError: as :func:`files_of`.
    """
    if not isinstance(entry.file, dict):
        return [TablePart("all", files_of(entry), roots_of(entry))]
    files_of(entry)
    return [_own_split(entry, split, file) for split, file in entry.file.items()]


def _own_split(entry: Entry, split: str, file: FileOrFiles) -> TablePart:
    files = table_files(file)
    roots = list(dict.fromkeys(path.parent for path in files)) if entry.image_root is None else roots_of(entry)
    return TablePart(split, files, roots, f"{split}/")


def downloaded_parts(entry: Entry, receipt: HubFiles) -> list[TablePart]:
    """The rows of the splits of a data set that was downloaded."""
    roots = [receipt.root, *roots_of(entry)]
    return [
        TablePart(split, receipt.files(split), roots, f"{split}/", count, own=False)
        for split, count in (entry.images or {}).items()
    ]


def table_mark(entry: Entry) -> Any:
    """A mark of what a user's own table shows: the cells of its rows but the labels, and size and time of its pictures.

    Of a table that holds pictures, size and time of its files: they may be gigabytes, and each plan asks.
    """
    marks = {part.name: _mark(entry, part) for part in own_parts(entry)}
    return marks if isinstance(entry.file, dict) else marks["all"]


def _mark(entry: Entry, part: TablePart) -> Any:
    files = part.files
    try:
        if any(holds_pictures(file, entry.picture_columns()) for file in files):
            return files_mark(files)
        roots, specs = part.roots, entry.image_specs
        digest = hashlib.sha256()
        pictures: dict[str, list[int] | None] = {}
        for row in read_rows(files, entry.shown_columns()):
            paths = [path for spec in specs if (path := cell_path(spec, row.cells, row.where)) is not None]
            for path in paths:
                if path not in pictures:
                    pictures[path] = next(filter(None, (written(root / path) for root in roots)), None)
            digest.update(json.dumps([row.cells, [pictures[path] for path in paths]], default=str).encode())
    except InputError:
        # No table that can be read: the job that makes the stimuli says why.
        return files_mark(files)
    return digest.hexdigest()
