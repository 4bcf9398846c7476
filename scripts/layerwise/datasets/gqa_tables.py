"""Read the question tables that the authors of arXiv 2411.18620 published: one CSV file per type.

A row has ``question_id``, ``img_id``, ``question``, ``answer``, for two options ``true option`` and ``false option``,
the image's size, and one ``central object`` or ``object1`` and ``object2`` with name and box. Dashes in place of a box
stand for an object that is asked for and is not in the image.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from layerwise.datasets.questions import AskedObject, Found, Question, check_ids, checked_object, whole_pixels
from layerwise.datasets.tables import read_table
from layerwise.datasets.text_files import shown
from layerwise.errors import InputError
from layerwise.gqa_types import TABLES

OPTIONS = ("true option", "false option")
CHOOSING = ("ChooseAttr", "ChooseCat", "ChooseRel")
# The columns of each type's objects.
PLACES = dict.fromkeys(TABLES, ("central object",)) | dict.fromkeys(
    ("ChooseRel", "CompareAttr", "LogicalObj"), ("object1", "object2")
)
ABSENT = "-"


def table_files(folder: str | Path, kinds: Sequence[str]) -> list[Path]:
    """The tables of some types."""
    return [Path(folder) / TABLES[kind] for kind in kinds]


def table_columns(kind: str) -> list[str]:
    """The columns of a type's table."""
    boxes = [f"{place} {side}" for place in PLACES[kind] for side in ("name", "x", "y", "w", "h")]
    options = OPTIONS if kind in CHOOSING else ()
    return ["question_id", "img_id", "question", "answer", "image_w", "image_h", *boxes, *options]


def read_tables(folder: str | Path, kinds: Sequence[str]) -> Found:
    """Read the tables of the given types.

    Raises:
        InputError: on a missing table or column, an empty cell, a box that is not four whole numbers or has no part in
            the image, an answer that is not the true option, or an id that comes twice. It names the file and the row;
            the header is row 1.
    """
    questions: list[Question] = []
    files = table_files(folder, kinds)
    for kind, file in zip(kinds, files, strict=True):
        for number, row in enumerate(read_table(file, table_columns(kind)).to_dict("records"), start=2):
            try:
                questions.append(_question(kind, row))
            except ValueError as error:
                raise InputError(
                    f"{file}, row {number} (question_id {row['question_id'][:80]}): {error}; mend or delete the row"
                ) from error
    check_ids(questions, files)
    return Found(questions, {kind: Counter() for kind in kinds}, files)


def _question(kind: str, row: dict[str, str]) -> Question:
    options = tuple(row[option] for option in OPTIONS) if kind in CHOOSING else ()
    if options and row["answer"] != options[0]:
        raise ValueError(f"the answer {shown(row['answer'])} is not the true option {shown(options[0])}")
    size = whole_pixels(row["image_w"]), whole_pixels(row["image_h"])
    objects = [found for place in PLACES[kind] if (found := _object(place, row, size))]
    if not objects:
        raise ValueError("it names no object that is in the image")
    return Question(
        row["question_id"], row["img_id"], size, kind, row["question"], row["answer"], options, tuple(objects)
    )


def _object(place: str, row: dict[str, str], size: tuple[int, int]) -> AskedObject | None:
    """The object at a place of a row; None for one that is not in the image."""
    box = tuple(row[f"{place} {side}"] for side in "xywh")
    if box == (ABSENT,) * 4:
        return None
    try:
        return checked_object(row[f"{place} name"], box, size)
    except ValueError as error:
        raise ValueError(f"{place} {shown(row[f'{place} name'])}: {error}") from error
