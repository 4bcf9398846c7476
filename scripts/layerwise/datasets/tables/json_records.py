"""JSON: one record a line, a list of records, or a mapping from ids to records.

A record is a mapping from columns to cells, or a list of cells, whose columns are their places: 0, 1, and so on.
"""

import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from layerwise.datasets.tables.cells import Row
from layerwise.datasets.tables.files import ending_of
from layerwise.datasets.tables.unicode_lines import unicode_lines
from layerwise.datasets.text_files import shown
from layerwise.errors import InputError

# The column of a mapping's ids.
KEY = "key"
# So many records show which columns there are: not every record needs to have all.
HEADER_RECORDS = 200
# Characters read at once, and in a record that is alone in its file.
PART, LONGEST_RECORD = 2**16, 2**20
_DECODER = json.JSONDecoder()
_NOT_BLANK = re.compile(r"[^ \t\n\r]")
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")


class _Record(NamedTuple):
    where: str
    value: Any
    key: str | None = None


def header(file: Path) -> list[str]:
    """The fields of the first records, in the order in which they come; the column ``key`` first if there are ids.

    Raises:
        InputError: when the file cannot be read, is empty, or holds other things than records.
    """
    found: dict[str, None] = {}
    for record, fields in islice(_with_fields(file), HEADER_RECORDS):
        found |= dict.fromkeys(([] if record.key is None else [KEY]) + list(fields))
    if not found:
        raise InputError(f"{file}: cannot be read as a table (it is empty)")
    return list(found)


def rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The records, with None for a field that one lacks, and for a number that is none (NaN).

    Raises:
        InputError: on what is no record, text that holds half a character, or when the file cannot be read.
    """
    for record, fields in _with_fields(file):
        if record.key is not None:
            if KEY in columns and KEY in fields:
                raise InputError(f"{record.where}: has an id and a field {KEY!r} too; rename the field")
            fields = {KEY: record.key} | fields
        try:
            cells = {column: _plain(fields.get(column), record.where, column) for column in columns}
        except RecursionError as error:
            raise InputError(f"{record.where}: lists or mappings nested too deeply; take them out") from error
        yield Row(record.where, cells)


def _with_fields(file: Path) -> Iterator[tuple[_Record, dict[str, Any]]]:
    """The records, each with its fields. The first one says whether all are mappings or lists."""
    are_lists: bool | None = None
    for record in _records(file):
        if are_lists is None:
            are_lists = isinstance(record.value, list) and record.key is None
        yield record, _fields(record, are_lists)


def _fields(record: _Record, is_list: bool) -> dict[str, Any]:
    if is_list and isinstance(record.value, list):
        return {str(place): cell for place, cell in enumerate(record.value)}
    if not is_list and isinstance(record.value, dict):
        return record.value
    fix = 'such as ["a.jpg", "a dog"]' if is_list else 'such as {"image": "a.jpg", "text": "a dog"}'
    if record.key is not None and isinstance(record.value, list):
        fix += "; is it the list of records? Write it into a file of its own"
    raise InputError(f"{record.where}: {shown(record.value)} is no record {fix}")


def _plain(value: Any, where: str, column: str) -> Any:
    if isinstance(value, dict):
        return {key: _plain(part, where, column) for key, part in value.items()}
    if isinstance(value, list):
        return [_plain(part, where, column) for part in value]
    if isinstance(value, str) and _HALF_OF_A_PAIR.search(value):
        raise InputError(
            f"{where}: {column!r} holds half of a surrogate pair, which is no character: {shown(value)}; correct it"
        )
    return None if value != value else value


def _records(file: Path) -> Iterator[_Record]:
    if ending_of(file) == ".jsonl":
        return _of_lines(file)
    text = _Text(file)
    first = text.peek()
    if first == "[":
        return _of_list(file, text)
    if first != "{":
        what = f"it begins with {first!r}" if first else "it is empty"
        raise InputError(f"{file}: cannot be read as a table ({what}); a list of records or a mapping of them is one")
    return _of_lines(file) if _is_of_lines(file) else _of_mapping(file, text)


def _of_lines(file: Path) -> Iterator[_Record]:
    for number, line in enumerate(unicode_lines(file), start=1):
        if not line.isspace():
            where = f"{file}, line {number}"
            try:
                yield _Record(where, json.loads(line))
            # Besides malformed text: a number of thousands of digits, and brackets nested without end.
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where}: not valid JSON ({error}); correct the line or take it out") from error


def _is_of_lines(file: Path) -> bool:
    """Whether a file that is called .json has one record a line, as many do: several, or one with plain fields."""
    lines = (line for line in unicode_lines(file) if not line.isspace())
    first, second = next(lines, ""), next(lines, "")
    if second:
        return second.lstrip().startswith("{") and _parsed(first) is not None
    # A mapping on a single line may have any length.
    record = _parsed(first) if len(first) < LONGEST_RECORD else None
    if record is None:
        return False
    values = list(record.values())
    # A list of mappings is the table itself, one level too deep: the reader of mappings says so.
    holds_records = any(isinstance(value, list) and value and isinstance(value[0], dict) for value in values)
    return not (holds_records or all(isinstance(value, dict) for value in values))


def _parsed(text: str) -> Any:
    """A whole value, or None if the text is not one."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _of_list(file: Path, text: "_Text") -> Iterator[_Record]:
    for number, _ in enumerate(text.parts("[", "]"), start=1):
        yield _Record(f"{file}, record {number}", text.value())


def _of_mapping(file: Path, text: "_Text") -> Iterator[_Record]:
    for _ in text.parts("{", "}"):
        key = text.value()
        if not isinstance(key, str):
            raise text.error(f"{shown(key)} is no key")
        text.take(":")
        yield _Record(f"{file}, key {shown(key)}", text.value(), key)


class _Text:
    """The text of a JSON file, value by value: a list of records may be larger than memory."""

    def __init__(self, file: Path):
        self._file = file
        self._lines = unicode_lines(file)
        self._text, self._at, self._line = "", 0, 1

    def peek(self) -> str:
        """The next character that is not blank, or nothing at the end."""
        while (found := _NOT_BLANK.search(self._text, self._at)) is None:
            self._at = len(self._text)
            if not self._more():
                return ""
        self._at = found.start()
        return found[0]

    def take(self, expected: str) -> str:
        """Pass over the next character, which must be one of ``expected``."""
        found = self.peek()
        if not found or found not in expected:
            raise self.error(f"{' or '.join(expected)} expected")
        self._at += 1
        return found

    def parts(self, opening: str, closing: str) -> Iterator[None]:
        """Stop before each part of a list or mapping, for its reader."""
        self.take(opening)
        if self.peek() != closing:
            yield
            while self.take(f",{closing}") == ",":
                yield
        else:
            self.take(closing)
        if self.peek():
            raise self.error("something follows the end")

    def value(self) -> Any:
        """The next value, whole."""
        self.peek()
        while True:
            try:
                # A number at the end may go on in the part that is not read yet; records do not.
                value, self._at = _DECODER.raw_decode(self._text, self._at)
                return value
            except RecursionError as error:
                raise self.error("nested too deeply") from error
            except ValueError as error:
                # So it looks too while the rest of the value is not read.
                ahead = error.pos - self._at if isinstance(error, json.JSONDecodeError) else 0
                if not self._more(len(self._text) - self._at):
                    raise self.error(getattr(error, "msg", str(error)), self._at + ahead) from error

    def error(self, what: str, at: int | None = None) -> InputError:
        """What is wrong with the text at a place; by default, where it is read."""
        at = self._at if at is None else at
        line = self._line + self._text.count("\n", 0, at)
        if what.startswith("Unterminated") or not _NOT_BLANK.search(self._text, at):
            what += "; the file ends here: it is cut short"
        return InputError(f"{self._file}, line {line}: not valid JSON ({what}); correct it or download it again")

    def _more(self, wanted: int = 0) -> bool:
        """Read on: as much again as is waiting, so that a long value is not tried too often."""
        self._line += self._text.count("\n", 0, self._at)
        parts, length = [self._text[self._at :]], 0
        for line in self._lines:
            parts.append(line)
            length += len(line)
            if length >= max(PART, wanted):
                break
        self._text, self._at = "".join(parts), 0
        return length > 0
