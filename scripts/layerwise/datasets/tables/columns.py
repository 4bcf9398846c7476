"""The columns of tables, from their headers alone: every plan asks."""

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import MappingProxyType, ModuleType

from layerwise.datasets.tables import delimited, json_records, parquet
from layerwise.datasets.tables.arrow_cells import holds_bytes, is_text_or_number
from layerwise.datasets.tables.files import ending_of
from layerwise.datasets.tables.json_records import HEADER_RECORDS
from layerwise.errors import InputError

_READERS = {
    ".csv": delimited,
    ".tsv": delimited,
    ".jsonl": json_records,
    ".json": json_records,
    ".parquet": parquet,
}


def reader_of(file: Path) -> ModuleType:
    """The module that reads a file, with ``header`` and ``rows``.

    Raises:
        InputError: when the name is not a table's.
    """
    return _READERS[ending_of(file)]


def parted_by(file: Path) -> str | None:
    """What parts the cells of a CSV or TSV, as its header shows; None for other files.

    Raises:
        InputError: when the file cannot be read.
    """
    return delimited.separator_of(file) if reader_of(file) is delimited else None


def column_names(file: Path) -> list[str]:
    """The columns of a table, in its order. Of JSON, those of its first 200 records.

    Raises:
        InputError: when the file cannot be read, or is empty.
    """
    return reader_of(file).header(file)


def class_names(file: Path) -> dict[str, list[str]]:
    """By column, the names of its classes, where the library ``datasets`` noted them in a Parquet file.

    Columns that hold one class or lists of classes are named. Rows have these names in place of the numbers.

    Raises:
        InputError: when the file cannot be read.
    """
    return parquet.class_names(file) if ending_of(file) == ".parquet" else {}


def holds_pictures(file: Path, columns: Sequence[str]) -> bool:
    """Whether cells of some columns may be pictures themselves: bytes in a Parquet file.

    Raises:
        InputError: when the file cannot be read.
    """
    if ending_of(file) != ".parquet":
        return False
    schema = parquet.schema_of(file)
    return any(name in columns and holds_bytes(kind) for name, kind in zip(schema.names, schema.types, strict=True))


def check_readable(
    files: Sequence[Path], columns: Sequence[str], fixes: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Check, from headers alone, that rows can be read: each file has each column once, of a type that can be read.

    Args:
        files: of the table.
        columns: that are to be read.
        fixes: by column, how the message goes on if no file has it.

    Raises:
        InputError: it names the file, the column and the fix.
    """
    for file in files:
        names = column_names(file)
        for column in columns:
            if column not in names and file != files[0]:
                raise InputError(
                    f"{file}: there is no column {column!r}, which {files[0]} has; it has {_listed(names)}; files of "
                    "one table need the same columns"
                )
            _check_column(file, names, column, fixes.get(column, ""))
        if ending_of(file) == ".parquet":
            parquet.check(file, columns)


def check_columns(file: str | Path, columns: Sequence[str]) -> None:
    """Check that a table has these columns, each once, and of Parquet that they hold text or numbers.

    Raises:
        InputError: when one is missing, appears twice, or holds anything else.
    """
    file = Path(file)
    schema = parquet.schema_of(file) if ending_of(file) == ".parquet" else None
    names = column_names(file) if schema is None else list(schema.names)
    for column in columns:
        _check_column(file, names, column)
        if schema is not None and not is_text_or_number(kind := schema.field(column).type):
            held = "pictures (bytes)" if holds_bytes(kind) else f"values of type {str(kind)[:60]}"
            raise InputError(
                f"{file}: the column {column!r} holds {held}, not text or numbers; write pictures into files of their "
                "own, and their paths into the table"
            )


def _check_column(file: Path, names: list[str], column: str, own_fix: str = "") -> None:
    if column not in names:
        where, fix = "", _hint(names, column)
        if reader_of(file) is json_records:
            where = f" in its first {HEADER_RECORDS} records"
            if next(islice(json_records.rows(file, []), HEADER_RECORDS, None), None) is not None:
                fix = fix or f"; if later ones have it, add it to the first one, such as {{{json.dumps(column)}: null}}"
        raise InputError(f"{file}: there is no column {column!r}{where}; it has {_listed(names)}{fix}{own_fix}")
    if names.count(column) > 1:
        raise InputError(f"{file}: there are {names.count(column)} columns {column!r}; rename all but one")


def _listed(names: list[str]) -> str:
    """Columns for a message: quoted, so that blanks show, and at most twenty."""
    shown = [repr(str(name)[:40]) for name in names[:20]]
    return ", ".join(shown) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _hint(names: list[str], column: str) -> str:
    if names[0].lower().startswith("sep="):
        return "; take out the first line, which names the separator"
    if any(name.strip() == column for name in names):
        return "; take the blanks out of its header"
    if close := next((name for name in names if name.lower() == column.lower()), None):
        return f"; is it {close!r}?"
    return ""
