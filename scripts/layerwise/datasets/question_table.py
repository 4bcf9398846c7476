"""Questions from the rows of a user's own table."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor
from pathlib import Path
from typing import Any, NamedTuple

from layerwise.config.flow import ONE_TYPE, QuestionTable
from layerwise.datasets.disk import is_file
from layerwise.datasets.file_marks import files_mark, written
from layerwise.datasets.questions import AskedObject, places_of
from layerwise.datasets.tables import (
    Picture,
    Row,
    check_columns,
    check_readable,
    holds_pictures,
    read_rows,
    table_files,
)
from layerwise.datasets.text_files import shown
from layerwise.errors import InputError
from layerwise.several_pictures import MARK

# The keys of a box that is more than its four numbers.
BOX_KEYS = ("box", "image", "name")


class Box(NamedTuple):
    """A box as a row gives it, in pixels that need not be whole: its upper left corner, width and height."""

    image: int
    name: str
    x: float
    y: float
    w: float
    h: float


@dataclass(frozen=True)
class TableQuestion:
    """One row of a table of questions.

    Attributes:
        where: its file and row, for messages.
        number: of the row, from 0, over all files.
        root: the folder that its relative image paths start from.
        question_id, kind, text, answer: of the question.
        options: in the table's order.
        distractor: a wrong answer; "" for none.
        boxes: of the objects in question.
        spans: by name words that the question holds once.
    """

    where: str
    number: int
    root: Path
    question_id: str
    kind: str
    text: str
    answer: str
    options: tuple[str, ...]
    distractor: str
    boxes: tuple[Box, ...]
    spans: Mapping[str, str]


def question_files(entry: QuestionTable) -> list[Path]:
    """The files of a table of questions.

    Raises:
        InputError: when there are none.
    """
    return table_files(entry.file)


def check_table(entry: QuestionTable) -> None:
    """What headers alone tell: that each column is there once, and can be read.

    Raises:
        InputError: naming the file, the column and the fix.
    """
    files = question_files(entry)
    fixes = {
        column: f"; name it as `{key}`"
        for key, default in (("image_column", "image"), ("question_column", "question"), ("answer_column", "answer"))
        if (column := getattr(entry, key)) == default
    }
    check_readable(files, [*entry.image_columns, *entry.other_columns], fixes)
    for file in files:
        check_columns(file, entry.text_columns)


def read_question_table(entry: QuestionTable) -> list[TableQuestion]:
    """All questions of a table, in its order; their pictures are not looked at.

    Raises:
        InputError: naming the file, the row and the fix.
    """
    check_table(entry)
    questions: list[TableQuestion] = []
    met: dict[str, str] = {}
    for root, number, row in _rows(entry, entry.other_columns):
        question = _question(entry, root, number, row)
        if (other := met.setdefault(question.question_id, row.where)) != row.where:
            raise InputError(
                f"{row.where}: the id {question.question_id!r} is that of {other}, too; ids must be unique"
            )
        questions.append(question)
    if not questions:
        raise InputError(f"{question_files(entry)[0]}: the table has no rows")
    return questions


def pictures_of(entry: QuestionTable, questions: Sequence[TableQuestion]) -> Iterator[list[Path | bytes]]:
    """The pictures of some questions, in their order: the path of a file that is there, or the file's content.

    Args:
        entry: of the config.
        questions: as :func:`read_question_table` gives them, in its order.

    Raises:
        InputError: when a cell is empty or a file is missing; naming the file, the row and the fix.
    """
    wanted = {question.number: question for question in questions}
    for _, number, row in _rows(entry, entry.image_columns):
        if number in wanted:
            yield [_picture(column, row, wanted[number].root) for column in entry.image_columns]


def questions_mark(entry: QuestionTable) -> Any:
    """A mark of a table for recipes, without its name: the cells that are read, and size and time of its pictures.

    Of a table that holds its pictures, size and time of the files: they may be gigabytes, and each plan asks.
    """
    try:
        files = question_files(entry)
        if any(holds_pictures(file, entry.image_columns) for file in files):
            return [mark for _, mark in files_mark(files)]
        digest = hashlib.sha256()
        for root, _, row in _rows(entry, [*entry.image_columns, *entry.other_columns]):
            pictures = [written(root / str(row.cells[column])) for column in entry.image_columns]
            digest.update(json.dumps([row.cells, pictures], default=str).encode())
        return digest.hexdigest()
    except InputError:
        # No table that can be read: the job that makes the questions says why.
        return None


def asked_object(box: Box, size: tuple[int, int]) -> AskedObject:
    """A box in whole pixels of its picture; the pixels at its edges count whole, and what sticks out is cut off.

    Raises:
        ValueError: when no part of it lies in the picture.
    """
    width, height = size
    left, top = max(floor(box.x), 0), max(floor(box.y), 0)
    right, bottom = min(ceil(box.x + box.w), width), min(ceil(box.y + box.h), height)
    if left >= right or top >= bottom:
        numbers = f"[{box.x:g}, {box.y:g}, {box.w:g}, {box.h:g}]"
        raise ValueError(f"the box {numbers} has no part in the picture of {width} x {height} pixels")
    return AskedObject(box.name, left, top, right - left, bottom - top, box.image)


def _rows(entry: QuestionTable, columns: Sequence[str]) -> Iterator[tuple[Path, int, Row]]:
    """The rows of all files, each with the folder that its pictures' paths start from and its number, from 0."""
    number = 0
    for file in question_files(entry):
        root = Path(file.parent if entry.image_root is None else entry.image_root)
        for row in read_rows([file], columns):
            yield root, number, row
            number += 1


def _question(entry: QuestionTable, root: Path, number: int, row: Row) -> TableQuestion:
    text, answer = _text(entry.question_column, row), _text(entry.answer_column, row)
    options = _options(entry, row)
    if options and answer.lower() not in map(str.lower, options):
        raise InputError(f"{row.where}: the answer {shown(answer)} is not among the options {shown(list(options))}")
    distractor = "" if entry.distractor_column is None else _text(entry.distractor_column, row, may_lack=True)
    if distractor.lower() == answer.lower():
        raise InputError(
            f"{row.where}: the distractor {shown(distractor)} is the answer; give a wrong answer, or leave the cell of "
            f"{entry.distractor_column!r} empty"
        )
    boxes = () if entry.boxes_column is None else _boxes(entry, row)
    return TableQuestion(
        where=row.where,
        number=number,
        root=root,
        # As a stimulus set of a table counts its rows.
        question_id=str(number) if entry.id_column is None else _text(entry.id_column, row),
        kind=ONE_TYPE if entry.type_column is None else _text(entry.type_column, row),
        text=text,
        answer=answer,
        options=options,
        distractor=distractor,
        boxes=boxes,
        spans=_spans(entry, row, text),
    )


def _text(column: str, row: Row, may_lack: bool = False) -> str:
    """A cell as text, without blanks at its ends; "" for an empty one that may be."""
    cell = row.cells[column]
    if isinstance(cell, float) and cell.is_integer():
        # As a column of whole numbers with a gap has it.
        cell = int(cell)
    text = "" if cell is None else str(cell).strip()
    if not text and not may_lack:
        raise InputError(f"{row.where}: the column {column!r} is empty; fill it in, or take the row out")
    if MARK in text:
        raise InputError(f"{row.where}: the column {column!r} has the character U+FFFC, which stands for pictures")
    return text


def _options(entry: QuestionTable, row: Row) -> tuple[str, ...]:
    columns = entry.option_columns
    if len(columns) == 1:
        cell = _decoded(columns[0], row, '["left", "right"]')
        if not isinstance(cell, list) or not all(isinstance(option, str | int | float) for option in cell):
            raise InputError(
                f'{row.where}: the column {columns[0]!r} holds {shown(cell)}, not a list of options such as ["left", '
                '"right"]'
            )
        found = tuple(str(option).strip() for option in cell)
    else:
        found = tuple(option for column in columns if (option := _text(column, row, may_lack=True)))
    if columns and (len(found) < 2 or not all(found)):
        raise InputError(f"{row.where}: the options are {shown(list(found))}; there must be two or more, none empty")
    if any(MARK in option for option in found):
        raise InputError(f"{row.where}: an option has the character U+FFFC, which stands for pictures")
    return found


def _decoded(column: str, row: Row, such_as: str) -> Any:
    """A cell that is a list, or text that holds one as JSON; an empty one is an empty list."""
    cell = row.cells[column]
    if isinstance(cell, str):
        try:
            return json.loads(cell)
        except ValueError as error:
            raise InputError(
                f"{row.where}: the column {column!r} holds {shown(cell)}, not JSON such as {such_as} ({error})"
            ) from error
    return [] if cell is None else cell


def _boxes(entry: QuestionTable, row: Row) -> tuple[Box, ...]:
    column, pictures = str(entry.boxes_column), len(entry.image_columns)
    such_as = "[[10, 20, 30, 40]]" if pictures == 1 else '[{"image": 2, "box": [10, 20, 30, 40]}]'
    cell = _decoded(column, row, such_as)
    # One box may stand by itself.
    boxes = [cell] if isinstance(cell, dict) or (isinstance(cell, list) and cell and _are_numbers(cell)) else cell
    if not isinstance(boxes, list):
        raise InputError(
            f"{row.where}: the column {column!r} holds {shown(cell)}, not a list of boxes such as {such_as}"
        )
    return tuple(_box(box, pictures, f"{row.where}: the column {column!r}", such_as) for box in boxes)


def _box(given: Any, pictures: int, where: str, such_as: str) -> Box:
    box = {"box": given} if isinstance(given, list) else given
    if not isinstance(box, dict) or "box" not in box or set(box) - set(BOX_KEYS):
        raise InputError(f"{where} has {shown(given)}, which is no box; write boxes such as {such_as}")
    image, name, numbers = box.get("image"), box.get("name"), box["box"]
    if image is None and pictures == 1:
        image = 1
    if type(image) is not int or not 1 <= image <= pictures:
        said = "does not say in which picture it is" if image is None else f"has the picture {shown(image)}"
        raise InputError(f"{where} has a box that {said}; there are {pictures}: write boxes such as {such_as}")
    if not isinstance(numbers, list) or len(numbers) != 4 or not _are_numbers(numbers):
        raise InputError(f"{where} has the box {shown(numbers)}, not four numbers: x, y, width and height")
    x, y, w, h = map(float, numbers)
    if min(w, h) <= 0:
        raise InputError(f"{where} has the box {shown(numbers)}, whose width and height must be above 0")
    return Box(image, "" if name is None else str(name), x, y, w, h)


def _are_numbers(values: list[Any]) -> bool:
    return all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)


def _spans(entry: QuestionTable, row: Row, text: str) -> dict[str, str]:
    """The spans that a question has: an empty cell is none."""
    found = {}
    for name, column in entry.spans.items():
        if not (words := _text(column, row, may_lack=True)):
            continue
        times = len(places_of(words, text))
        if times != 1:
            fix = "copy them from the question" if times == 0 else "write more of the words around them"
            raise InputError(
                f"{row.where}: the question {shown(text)} {'does not hold' if times == 0 else 'holds'} the words "
                f"{shown(words)} of the span {name}{'' if times == 0 else f' {times} times'}; {fix}"
            )
        found[name] = words
    return found


def _picture(column: str, row: Row, root: Path) -> Path | bytes:
    cell = row.cells[column]
    if isinstance(cell, Picture):
        if cell.content:
            return cell.content
        cell = cell.path
    if isinstance(cell, list | dict):
        raise InputError(
            f"{row.where}: the column {column!r} holds {shown(cell)}, not one picture; give each picture a column of "
            "its own: `image_column: [first, second]`"
        )
    path = "" if cell is None else str(cell).strip()
    if not path:
        raise InputError(f"{row.where}: there is no picture (the column {column!r} is empty); take the row out")
    if not is_file(root / path):
        raise InputError(f"{row.where}: there is no image {root / path}; relative paths start from {root}")
    return root / path
