"""Find the table of someone's own pictures, and tell which columns hold pictures, texts and labels."""

import csv
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from layerwise.datasets.tables import Picture, column_names, read_rows
from layerwise.datasets.tables.files import ENDINGS, PACKED
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file

PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
# As many rows tell what a column is.
LOOKED_AT = 5000
A_PICTURE = object()
# A label has at most so many classes, and at least so many items of each.
MOST_CLASSES, LEAST_ITEMS = 20, 10
# With fewer items of a class, some part of a random split may have fewer than a task asks for by default.
SURE_ITEMS, DEFAULT_LEAST, LOW_LEAST = 30, 5, 2
FROM_FOLDERS = "pictures.csv"


class OwnTable(NamedTuple):
    """A table of someone's own: its file, the columns of a study, its rows, and what a task should say of rare classes.

    ``labels`` has the classes of each column, and ``least`` is the task's ``min_per_class``.
    """

    file: Path
    image: str
    text: str | None
    labels: dict[str, list[str]]
    rows: int
    least: int


def find_table(folder: Path) -> Path | None:
    """The only table of a folder; None if it has none.

    Raises:
        InputError: when there are several.
    """
    found = sorted(file for file in folder.iterdir() if file.name.lower().endswith((*ENDINGS, *PACKED)))
    if len(found) > 1:
        names = ", ".join(file.name for file in found)
        raise InputError(f"{folder}: there are several tables ({names}); name the one you mean with --table")
    return found[0] if found else None


def table_of_folders(folder: Path) -> Path | None:
    """Write a table of pictures that lie in a folder for each class; None if fewer than two folders hold pictures."""
    classes = {
        place.name: sorted(file for file in place.rglob("*") if file.suffix.lower() in PICTURES)
        for place in sorted(folder.iterdir())
        if place.is_dir() and not place.name.startswith(".")
    }
    classes = {name: files for name, files in classes.items() if files}
    if len(classes) < 2:
        return None
    with finished_file(folder / FROM_FOLDERS) as partial, open(partial, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["image", "label"])
        rows.writerows([path.relative_to(folder).as_posix(), name] for name, files in classes.items() for path in files)
    return folder / FROM_FOLDERS


def read_columns(file: Path, labels: Sequence[str] = ()) -> OwnTable:
    """Tell which column holds the pictures, which the text, and which are labels.

    Args:
        file: the table.
        labels: columns of labels, if they are known.

    Raises:
        InputError: when there is no column of pictures, or none that may be a label.
    """
    names = column_names(file)
    if unknown := [name for name in labels if name not in names]:
        raise InputError(f"{file}: there is no column {unknown[0]!r}; it has {', '.join(names)}")
    cells: dict[str, list[Any]] = {name: [] for name in names}
    for row in islice(read_rows([file], names), LOOKED_AT):
        for name, cell in row.cells.items():
            # Of a picture, not its bytes.
            cells[name].append(A_PICTURE if isinstance(cell, Picture) else cell)
    image = next((name for name in sorted(names, key=lambda name: name != "image") if _is_pictures(cells[name])), None)
    if image is None:
        raise InputError(
            f"{file}: no column holds pictures, or paths that end in {', '.join(PICTURES)}; it has {', '.join(names)}"
        )
    counts = {name: Counter(map(str, cells[name])) for name in names if name != image and None not in cells[name]}
    texts = [name for name in counts if _is_text(cells[name]) and name not in labels]
    # Sentences that recur, such as questions, are texts if there is anything else to be labels.
    possible = sorted((name for name, count in counts.items() if _is_label(count)), key=lambda name: name in texts)
    found = list(labels) or [name for name in possible if name not in texts] or possible[:1]
    if not found:
        raise InputError(
            f"{file}: no column has two to {MOST_CLASSES} classes with {LEAST_ITEMS} rows each and no empty cell; add "
            "rows, or a column that says what is to be read off hidden states, or name one with --label"
        )
    text = max((name for name in texts if name not in found), key=lambda name: len(counts[name]), default=None)
    rarest = min(min(counts[name].values(), default=0) for name in found if name in counts)
    least = DEFAULT_LEAST if rarest >= SURE_ITEMS else LOW_LEAST
    return OwnTable(file, image, text, {name: sorted(counts.get(name, ())) for name in found}, len(cells[image]), least)


def _is_pictures(cells: Sequence[Any]) -> bool:
    return bool(cells) and all(
        cell is A_PICTURE or (isinstance(cell, str) and cell.lower().endswith(PICTURES)) for cell in cells
    )


def _is_label(count: Counter[str]) -> bool:
    return 2 <= len(count) <= MOST_CLASSES and min(count.values()) >= LEAST_ITEMS


def _is_text(cells: Sequence[Any]) -> bool:
    """Whether most cells are words rather than names or numbers."""
    return sum(isinstance(cell, str) and " " in cell.strip() for cell in cells) > len(cells) / 2
