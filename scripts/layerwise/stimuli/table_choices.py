"""The choices of a table's questions, and which of them is right."""

import re
import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from layerwise.datasets.text_files import shown as short
from layerwise.errors import InputError
from layerwise.stimuli.cell_values import as_it_reads, key_of
from layerwise.stimuli.table_entry import Choices
from layerwise.stimuli.table_rows import TableRow, as_text, is_empty

LETTERS = string.ascii_uppercase
# A letter alone: B, (B), B. or B)
LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
# What a struct of choices has, as in ARC: their words, and what the row calls them.
WORDS, NAMES = "text", "label"


def choices_of(entry: Choices, row: TableRow) -> list[str]:
    """The words of a row's choices, in order.

    Raises:
        InputError: naming the row, when there are fewer than two, more than letters, or one is empty; or when a struct
            has no words.
    """
    cells = [row.cells[column] for column in entry.columns]
    if len(cells) == 1:
        cells = _listed(cells[0], entry.columns[0], row.where)[0]
    while cells and is_empty(cells[-1]):
        cells = cells[:-1]
    named = ", ".join(map(repr, entry.columns))
    if empty := [place for place, cell in enumerate(cells, start=1) if is_empty(cell)]:
        raise InputError(f"{row.where}: choice {empty[0]} of {len(cells)} in {named} is empty")
    if not 2 <= len(cells) <= len(LETTERS):
        raise InputError(f"{row.where}: {named} has {len(cells)} choices; there must be 2 to {len(LETTERS)}")
    return [as_text(cell, named.strip("'"), row.where).strip() for cell in cells]


def names_of(entry: Choices, row: TableRow) -> list[str] | None:
    """What a row itself calls its choices, such as A to D or 1 to 4, in order; None if it gives them no names.

    Raises:
        InputError: naming the row, when a choice has no name, or two have the same.
    """
    if len(entry.columns) > 1:
        return None
    column = entry.columns[0]
    words, cells = _listed(row.cells[column], column, row.where)
    if cells is None:
        return None
    while words and is_empty(words[-1]):
        words, cells = words[:-1], cells[:-1]
    named = ["" if is_empty(cell) else as_text(cell, column, row.where).strip() for cell in cells]
    if "" in named or len({key_of(name) for name in named}) < len(named):
        raise InputError(f"{row.where}: the labels of the choices in {column!r} are {short(cells)}; give each its own")
    return named


def listed(choices: Sequence[str]) -> str:
    """Choices as a prompt shows them, one a line, each behind its letter."""
    return "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))


def right_choices(
    entry: Choices, answer: str | int, rows: Sequence[TableRow], choices: Sequence[Sequence[str]]
) -> list[int]:
    """The place of each row's right choice, from 0.

    Args:
        entry: of the config.
        answer: a column, or the index of the choice that is always right.
        rows: of the table.
        choices: the words of each row's choices.

    Raises:
        InputError: naming the row whose cell says none of its choices; or the column, when its cells may be read in two
            ways.
    """
    first = entry.first or 0
    if isinstance(answer, int):
        for row, words in zip(rows, choices, strict=True):
            if not 0 <= answer - first < len(words):
                raise InputError(f"{row.where}: choice {answer} is to be right, but there are {_counted(words, first)}")
        return [answer - first] * len(rows)
    cells = [row.cells[answer] for row in rows]
    for row, cell in zip(rows, cells, strict=True):
        if is_empty(cell):
            raise InputError(f"{row.where}: the column {answer!r} is empty, so no choice is right; see `only`")
    names = [names_of(entry, row) for row in rows]
    readings = READINGS if entry.answer_is is None else {entry.answer_is: READINGS[entry.answer_is]}
    found = {
        reading: [read(*of_row, first) for of_row in zip(cells, choices, names, strict=True)]
        for reading, read in readings.items()
    }
    whole = {name: places for name, places in found.items() if None not in places}
    if not whole:
        _refuse(answer, first, rows, cells, choices, names, found)
    ways = list(whole)
    for row, *places in zip(rows, *whole.values(), strict=True):
        if len(set(places)) > 1:
            raise InputError(
                f"{row.where}: {short(row.cells[answer])} in {answer!r} may be the {ways[0]} or the {ways[1]} of a "
                f"choice; say which with `answer_is: {ways[0]}` or `answer_is: {ways[1]}`"
            )
    return [place for place in whole[ways[0]] if place is not None]


def _refuse(
    answer: str,
    first: int,
    rows: Sequence[TableRow],
    cells: Sequence[Any],
    choices: Sequence[Sequence[str]],
    names: Sequence[Sequence[str] | None],
    found: Mapping[str, Sequence[int | None]],
) -> None:
    """Name the row that the best reading fails on."""
    places = max(found.values(), key=lambda places: len(places) - places.count(None))
    at = places.index(None)
    said = ", ".join(map(repr, choices[at]))[:200]
    labelled = f", labelled {', '.join(names[at] or ())}" if names[at] else ""
    if sum(key_of(word) == key_of(cells[at]) for word in choices[at]) > 1:
        raise InputError(
            f"{rows[at].where}: the column {answer!r} is {short(cells[at])}, the words of two choices: {said}; say "
            "which by its index or letter, or take the row out with `only`"
        )
    raise InputError(
        f"{rows[at].where}: the column {answer!r} is {short(cells[at])}, which is neither index, letter nor words of a "
        f"choice; there are {_counted(choices[at], first)}{labelled}: {said}"
    )


def _counted(words: Sequence[str], first: int) -> str:
    return f"{len(words)} choices, {first} to {first + len(words) - 1} (see `first`)"


def _by_index(cell: Any, words: Sequence[str], names: Sequence[str] | None, first: int) -> int | None:
    if isinstance(cell, str):
        if not re.fullmatch(r"\s*\d{1,4}\s*", cell):
            return None
        cell = int(cell)
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return None
    # Infinity is not whole, and neither is 0.5.
    if isinstance(cell, float) and not cell.is_integer():
        return None
    place = int(cell) - first
    return place if 0 <= place < len(words) else None


def _by_letter(cell: Any, words: Sequence[str], names: Sequence[str] | None, first: int) -> int | None:
    match = LETTER.fullmatch(cell.strip()) if isinstance(cell, str) else None
    if names is not None:
        # A row's own labels may be 1 to 4.
        said = key_of(cell if match is None else match[1])
        return next((place for place, name in enumerate(names) if key_of(name) == said), None)
    place = len(words) if match is None else LETTERS.index(match[1].upper())
    return place if place < len(words) else None


def _by_words(cell: Any, words: Sequence[str], names: Sequence[str] | None, first: int) -> int | None:
    # Choices may be numbers, and the answer one of them: of 2, 3 and 4, the 2.
    same = [place for place, word in enumerate(words) if key_of(word) == key_of(cell)]
    return same[0] if len(same) == 1 else None


READINGS: dict[str, Callable[[Any, Sequence[str], Sequence[str] | None, int], int | None]] = {
    "index": _by_index,
    "letter": _by_letter,
    "words": _by_words,
}


def _listed(cell: Any, column: str, where: str) -> tuple[list[Any], list[Any] | None]:
    """The choices that a cell lists, and what the row calls them: of a list, of a struct of lists, of a list of
    structs, or of one of these written as text, as in a CSV."""
    found = as_it_reads(cell)
    if isinstance(found, list) and found and all(isinstance(choice, dict) for choice in found):
        keys = list(dict.fromkeys(key for choice in found for key in choice))
        found = {key: [choice.get(key) for choice in found] for key in keys}
    if isinstance(found, dict):
        words, names = found.get(WORDS), found.get(NAMES)
        if isinstance(words, list) and isinstance(names, list) and len(words) == len(names):
            return words, names
        raise InputError(
            f"{where}: the column {column!r} holds {short(cell)}; a struct of choices must have their words as "
            f"`{WORDS}` and as many labels as `{NAMES}`"
        )
    if isinstance(found, list):
        return found, None
    raise InputError(
        f'{where}: the column {column!r} holds {short(cell)}, not a list such as ["red", "blue"]; where each choice '
        "has a column of its own, name all of them in `columns`"
    )
