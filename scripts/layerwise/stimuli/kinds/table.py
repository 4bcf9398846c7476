"""Stimuli from a user's own table of image, text and labels."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from layerwise.config.base import InputFile, InputFolder, Maybe, Words
from layerwise.config.prompts import Prompt
from layerwise.config.stimuli import StimuliEntry
from layerwise.config.tasks import Task
from layerwise.datasets.disk import is_file
from layerwise.datasets.file_marks import written
from layerwise.datasets.format import DataSize
from layerwise.datasets.tables import check_columns, read_cells, read_table
from layerwise.datasets.text_files import shown as short
from layerwise.errors import InputError
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.kind import ExpectedItems, StimulusKind, placeholders
from layerwise.stimuli.parts import SPLITS

if TYPE_CHECKING:
    from layerwise.datasets.locations import Locations


class Entry(StimuliEntry):
    """A stimulus set of a user's own table."""

    kind: Literal["table"]
    """How items are made."""
    file: InputFile
    """CSV or Parquet file, one stimulus per row."""
    image_column: str = "image"
    """Column with image paths."""
    image_root: Maybe[InputFolder] = None
    """Folder that relative image paths start from. Default: the file's folder."""
    text_column: Maybe[str] = None
    """Column with the text shown beside the image."""
    id_column: Maybe[str] = None
    """Column with unique item ids. Default: the row number."""
    labels: Words
    """Label columns. One column of two or more classes, or several of two classes each."""
    split_column: Maybe[str] = None
    """Column with the words train, val and test, for tasks with `split: official`."""


class _Table(StimulusKind[Entry]):
    entry_class = Entry
    allowed = frozenset({"text"})
    not_shown = frozenset({"prompts", "file", "image_root", "labels", "split_column"})

    def build(self, entry: Entry, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
        return build_table(entry), [Path(entry.file)]

    def source_files(self, entry: Entry, data: "Locations") -> list[str]:
        return [entry.file]

    def mark(self, entry: Entry, data: "Locations") -> list[Any]:
        return [table_mark(entry)]

    def check(self, where: str, entry: Entry, data: "Locations") -> None:
        if not is_file(entry.file):
            raise InputError(f"{where}.file: there is no file {entry.file!r}")
        try:
            check_columns(entry.file, table_columns(entry))
        except InputError as error:
            raise InputError(f"{where}.file: {error}") from error

    def check_prompt(self, where: str, prompt: Prompt, entry: Entry) -> None:
        super().check_prompt(where, prompt, entry)
        if "text" in placeholders(prompt) and entry.text_column is None:
            raise InputError(f"{where}: the prompt has {{text}}, but its stimulus set names no `text_column`")

    def check_task(self, where: str, task: Task, entry: Entry, stimuli: str) -> None:
        super().check_task(where, task, entry, stimuli)
        for label in task.labels or ():
            if label not in entry.labels:
                raise InputError(f"{where}.labels: {label!r} is not among the table's labels {entry.labels}")
        if task.split.by == "official" and entry.split_column is None:
            raise InputError(f"{where}.split.by: official needs `split_column` in stimuli.{stimuli}")

    def unused(self, where: str, entry: Entry, prompts: Sequence[Prompt]) -> list[str]:
        if entry.text_column is None or any("text" in placeholders(prompt) for prompt in prompts):
            return []
        return [f"{where}.text_column: none of its prompts shows {{text}}, so models see the image alone"]

    def labels(self, entry: Entry) -> int:
        return len(entry.labels)

    def expected(self, entry: Entry, size: DataSize) -> ExpectedItems:
        rows = read_table(entry.file, [entry.image_column])
        images = rows[entry.image_column].nunique()
        return ExpectedItems(images, len(rows) / images, characters=0, distinct_texts=images * (len(rows) / images))


def table_columns(entry: Entry) -> list[str]:
    """The columns that an entry reads, each once."""
    optional = [column for column in (entry.text_column, entry.id_column, entry.split_column) if column is not None]
    return list(dict.fromkeys([entry.image_column, *entry.labels, *optional]))


def build_table(entry: Entry) -> Stimuli:
    """One item per row of the table; the image is the group that a split keeps together.

    Raises:
        InputError: on a missing column or image, an empty cell, a repeated id, or an unknown word in the split column.
    """
    file = Path(entry.file)
    table = read_table(file, table_columns(entry))
    if entry.id_column is not None and (repeated := table.index[table[entry.id_column].duplicated()]).size:
        raise InputError(
            f"{file}, row {repeated[0] + 2}: the id {short(table[entry.id_column][repeated[0]])} is in a row above "
            "too; ids must be unique"
        )
    root = Path(entry.image_root or file.parent)
    images = table[entry.image_column]
    paths = [str(root / image) for image in images]
    for row, path in enumerate(paths):
        if not is_file(path):
            raise InputError(f"{file}, row {row + 2}: there is no image {path[:300]}; relative paths start from {root}")
    parts = table[entry.split_column] if entry.split_column is not None else pd.Series("all", index=table.index)
    if entry.split_column is not None and (unknown := table.index[~parts.isin(SPLITS)]).size:
        column, word = entry.split_column, parts[unknown[0]]
        raise InputError(f"{file}, row {unknown[0] + 2}: {column!r} is {short(word)}, not one of {', '.join(SPLITS)}")
    if entry.split_column is not None and (parts.groupby(images).nunique() > 1).any():
        image = parts.groupby(images).nunique().gt(1).idxmax()
        raise InputError(
            f"{file}: rows of the image {short(image)} are in different splits; images must not be shared by splits"
        )
    ids = table.index.astype(str) if entry.id_column is None else table[entry.id_column]
    shown = pd.DataFrame({"item_id": ids, "image": paths})
    if entry.text_column is not None:
        shown["text"] = table[entry.text_column]
    # Blanks at the ends of cells make no classes of their own.
    labels = {f"label:{column}": table[column].str.strip() for column in entry.labels}
    provenance = pd.DataFrame(
        {"item_id": shown["item_id"], "image_id": images, "group": images, "part": parts, **labels}
    )
    order = provenance.sort_values("image_id", kind="stable").index
    return Stimuli(
        shown=shown.loc[order].reset_index(drop=True),
        provenance=provenance.loc[order].reset_index(drop=True),
        categories=[],
        notes={},
    )


def table_mark(entry: Entry) -> str:
    """A mark of what a table shows: the cells of its rows but the labels, and size and time of its pictures."""
    file = Path(entry.file)
    shown = (entry.image_column, entry.id_column, entry.text_column, entry.split_column)
    columns = [column for column in shown if column is not None]
    digest = hashlib.sha256()
    pictures: dict[str, list[int] | None] = {}
    root = Path(entry.image_root or file.parent)
    try:
        for row in read_cells(file, columns):
            if row[0] not in pictures:
                pictures[row[0]] = written(root / str(row[0]))
            digest.update(json.dumps([row, pictures[row[0]]], default=str).encode())
    except InputError:
        # No table that can be read: the job that makes the stimuli says why.
        return json.dumps(written(file))
    return digest.hexdigest()


KIND = _Table()
