"""Read a table: a user's own stimuli, corrected labels, the questions of GQA. A CSV or Parquet file."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.datasets.text_files import raw_lines
from layerwise.errors import InputError


def read_table(file: str | Path, columns: list[str]) -> pd.DataFrame:
    """Read ``columns`` of ``file`` as text, one stimulus per row.

    Raises:
        InputError: when the file cannot be read, a column is missing or holds no text or numbers, or a cell is empty
            (by its row: the header of a CSV is row 1).
    """
    file = Path(file)
    check_columns(file, columns)
    table = _parquet_rows(file, columns).to_pandas(ignore_metadata=True) if _is_parquet(file) else _csv_rows(file)
    if table.empty:
        raise InputError(f"{file}: the table has no rows")
    text = table[columns].astype(str)
    for column in columns:
        if (empty := table.index[table[column].isna() | (text[column].str.strip() == "")]).size:
            raise InputError(f"{file}, row {empty[0] + 2}: the column {column!r} is empty")
    return text


def read_cells(file: str | Path, columns: list[str]) -> Iterator[list[Any]]:
    """The cells of ``columns`` as they stand in ``file``, row by row; what a short row of a CSV lacks is empty.

    Raises:
        InputError: as :func:`check_columns`, or when the file cannot be read.
    """
    file = Path(file)
    check_columns(file, columns)
    if _is_parquet(file):
        for batch in _parquet_rows(file, columns).to_batches():
            yield from map(list, zip(*(batch.column(column).to_pylist() for column in columns), strict=True))
        return
    rows = _records(file)
    header = next(rows)
    places = [header.index(column) for column in columns]
    for row in rows:
        yield [row[place] if place < len(row) else "" for place in places]


def check_columns(file: str | Path, columns: list[str]) -> None:
    """Check that a table has these columns, each once, by its header alone: a plan asks before anything is run.

    Raises:
        InputError: when one is missing, twice there, or holds pictures or other things than text and numbers.
    """
    file = Path(file)
    if not _is_parquet(file) and file.suffix.lower() != ".csv":
        raise InputError(f"{file}: a table is a .csv or .parquet file")
    schema = _parquet_schema(file) if _is_parquet(file) else None
    header = list(schema.names) if schema is not None else next(_records(file))
    for column in columns:
        if column not in header:
            raise InputError(f"{file}: there is no column {column!r}; it has {_listed(header)}{_hint(header, column)}")
        if header.count(column) > 1:
            raise InputError(f"{file}: there are {header.count(column)} columns {column!r}; rename all but one")
        if schema is not None and not _is_plain(kind := schema.field(column).type):
            held = "pictures (bytes)" if _holds_bytes(kind) else f"values of type {str(kind)[:60]}"
            raise InputError(
                f"{file}: the column {column!r} holds {held}, not text or numbers; write pictures into files of their "
                "own, and their paths into the table"
            )


def _is_parquet(file: Path) -> bool:
    return file.suffix.lower() == ".parquet"


def _csv_rows(file: Path) -> pd.DataFrame:
    rows = _records(file)
    header, whole = next(rows), []
    for number, row in enumerate(rows, start=2):
        if any(row[len(header) :]):
            raise InputError(
                f"{file}, row {number}: {len(row)} cells, but the header names {len(header)} columns; put quotes round "
                "a cell that holds a comma"
            )
        # Text throughout: an id like 007 stays what it is, and a caption "None" is no missing value.
        whole.append([cell or None for cell in row[: len(header)]] + [None] * (len(header) - len(row)))
    return pd.DataFrame(whole, columns=header, dtype=object)


def _records(file: Path) -> Iterator[list[str]]:
    """The rows of a CSV that are not blank, the header first."""
    rows = csv.reader(raw_lines(file))
    header = None
    try:
        for row in rows:
            if row:
                header = header or row
                yield row
    except csv.Error as error:
        raise InputError(f"{file}, line {rows.line_num}: cannot be read as a table ({error})") from error
    if header is None:
        raise InputError(f"{file}: cannot be read as a table (it is empty)")


def _parquet_schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{file}: cannot be read as a table ({str(error)[:200]})") from error


def _parquet_rows(file: Path, columns: list[str]) -> pa.Table:
    try:
        # Only these columns: others may hold gigabytes of pictures. What pandas took for an index is a column too.
        return pq.read_table(file, columns=list(dict.fromkeys(columns)))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{file}: cannot be read as a table ({str(error)[:200]})") from error


def _is_plain(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    is_one_of = (
        *(pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_boolean),
        *(pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_temporal, pa.types.is_null),
    )
    return any(check(kind) for check in is_one_of)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_nested(kind):
        return any(_holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return any(check(kind) for check in (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary))


def _listed(header: list[str]) -> str:
    """Columns for a message: quoted, so that a blank shows, and not thousands of them."""
    names = [repr(str(name)[:40]) for name in header[:20]]
    return ", ".join(names) + (f" and {len(header) - 20} more" if len(header) > 20 else "")


def _hint(header: list[str], column: str) -> str:
    if any(name.strip() == column for name in header):
        return "; take the blanks out of its header"
    for separator, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and separator in header[0]:
            return f"; its cells are parted by {name}: save it with commas"
    return ""
