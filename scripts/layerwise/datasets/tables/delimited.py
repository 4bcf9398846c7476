"""CSV and TSV: text cells, parted by commas, tabs, semicolons or bars, whichever the header shows."""

import csv
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from layerwise.datasets.tables.cells import Row
from layerwise.datasets.tables.files import ending_of
from layerwise.datasets.tables.unicode_lines import unicode_lines
from layerwise.errors import InputError

SEPARATORS = {",": "comma", "\t": "tab", ";": "semicolon", "|": "bar"}
# Of one row. A quote that is not closed swallows all lines up to the next one.
MOST_LINES = 1000
# Text tables may hold pictures in base64, which the reader passes over with its rows.
csv.field_size_limit(2**28)
# Put behind the last line. No line holds this character.
_END = "\0"


def header(file: Path) -> list[str]:
    """The column names, as they are: blanks and repeated ones too.

    Raises:
        InputError: when the file cannot be read or is empty.
    """
    return next(_records(file, separator_of(file)))


def rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows, with None for cells that are empty and for those that a short row lacks. Blank lines are no rows.

    Args:
        file: to read.
        columns: in the header, each once.

    Raises:
        InputError: on a row with more cells than the header, an open quote, or when the file cannot be read.
    """
    separator = separator_of(file)
    records = _records(file, separator)
    names = next(records)
    places = {column: names.index(column) for column in columns}
    for number, record in enumerate(records, start=2):
        where = f"{file}, row {number}"
        if any(record[len(names) :]):
            raise InputError(
                f"{where}: {len(record)} cells, but the header names {len(names)} columns; put quotes round a cell "
                f"that holds a {SEPARATORS[separator]}"
            )
        # Text throughout: an id like 007 keeps its zeros, and a caption "None" is not a missing value.
        yield Row(where, {name: (record[at] or None) if at < len(record) else None for name, at in places.items()})


def separator_of(file: Path) -> str:
    """What parts the cells, as the header shows.

    Raises:
        InputError: when the file cannot be read or is empty.
    """
    usual = "\t" if ending_of(file) == ".tsv" else ","
    # The usual one first: it is taken where others do as well.
    candidates = dict.fromkeys([usual, *SEPARATORS])
    names = {separator: next(_records(file, separator)) for separator in candidates}
    parting = [separator for separator in names if len(names[separator]) > 1]
    if len(parting) > 1:
        # A name may hold a comma. The first row tells it from a separator.
        parting = [separator for separator in parting if _fits(file, separator)] or parting
    return max(parting, key=lambda separator: len(names[separator]), default=usual)


def _fits(file: Path, separator: str) -> bool:
    """Whether the header and the first row, if there is one, have as many cells."""
    return len({len(record) for record in islice(_records(file, separator), 2)}) == 1


def _records(file: Path, separator: str) -> Iterator[list[str]]:
    """The rows that are not blank, the header first."""
    begun, is_empty = 1, True

    def lines() -> Iterator[str]:
        for number, line in enumerate(unicode_lines(file), start=1):
            if number - begun > MOST_LINES:
                raise InputError(f"{file}, line {begun}: a row of over {MOST_LINES} lines begins here; close its quote")
            yield line

    records = csv.reader(chain(lines(), [_END]), delimiter=separator)
    try:
        for record in records:
            if record and record[-1].endswith(_END) and record != [_END]:
                raise InputError(f"{file}, line {begun}: a quote opens in this row and never closes; close it")
            if record and record != [_END]:
                is_empty = False
                yield record
            begun = records.line_num + 1
    except csv.Error as error:
        fix = (
            "save it with line feeds at the ends of lines"
            if "new-line" in str(error)
            else "correct or leave out the row"
        )
        raise InputError(f"{file}, line {records.line_num}: cannot be read as a table ({error}); {fix}") from error
    if is_empty:
        raise InputError(f"{file}: cannot be read as a table (it is empty)")
