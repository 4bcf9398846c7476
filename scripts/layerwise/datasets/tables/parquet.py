"""Parquet files, read in small batches: a row group may hold gigabytes of pictures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.datasets.tables.arrow_cells import Convert, NoCellError, converter, holds_bytes
from layerwise.datasets.tables.cells import Row
from layerwise.datasets.tables.features import class_names_of, features_of
from layerwise.datasets.tables.files import beginning_of
from layerwise.errors import InputError

# Of a batch, and at most so many rows, fewer of pictures: equal ones may be stored once, and are read as many.
BYTES, ROWS, ROWS_OF_BYTES = 2**22, 4096, 32

# What pyarrow raises of cells that Python cannot hold, such as a date after the year 9999.
_CONVERSION = (ValueError, OverflowError, pa.ArrowException)


def schema_of(file: Path) -> pa.Schema:
    """The schema of a file. Reads its end alone.

    Raises:
        InputError: when the file cannot be read.
    """
    beginning_of(file)
    try:
        return pq.read_schema(file)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def header(file: Path) -> list[str]:
    """The column names. What pandas saved as an index is a column too."""
    return list(schema_of(file).names)


def class_names(file: Path) -> dict[str, list[str]]:
    """By column, the names of its classes, if ``datasets`` noted them: for numbers of classes and lists of such."""
    schema = schema_of(file)
    features = features_of(schema, file)
    return {name: names for name in schema.names if (names := class_names_of(features.get(name)))}


def check(file: Path, columns: Sequence[str]) -> None:
    """Refuse columns that hold what is no cell, such as unions.

    Raises:
        InputError: it names the column and its type.
    """
    _converters(file, columns)


def rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows, in small batches. Numbers of classes come as their names, -1 (unknown) and NaN as None.

    Raises:
        InputError: on a class without a name, or when the file cannot be read.
    """
    converters = _converters(file, columns)
    for number, values in enumerate(cells(file, columns), start=2):
        where = f"{file}, row {number}"
        row = {}
        for column, value in zip(columns, values, strict=True):
            try:
                row[column] = converters[column](value)
            except NoCellError as error:
                raise InputError(f"{where}: the column {column!r} holds {error}; correct it") from error
        yield Row(where, row)


def cells(file: Path, columns: Sequence[str]) -> Iterator[list[Any]]:
    """The cells of each row as Arrow gives them.

    Raises:
        InputError: on a cell that Python cannot hold, such as text that is not UTF-8, or when the file cannot be read.
    """
    number = 2
    for batch in _batches(file, columns):
        arrays = [batch.column(column) for column in columns]
        try:
            values = [array.to_pylist() for array in arrays]
        except _CONVERSION as error:
            raise _unconverted(file, columns, arrays, number) or _unreadable(file, error) from error
        yield from map(list, zip(*values, strict=True)) if values else ([] for _ in range(len(batch)))
        number += len(batch)


def whole(file: Path, columns: Sequence[str]) -> pd.DataFrame:
    """The columns as pandas has them, at once.

    Raises:
        InputError: when the file cannot be read.
    """
    beginning_of(file)
    try:
        # Only these columns: others may hold gigabytes of pictures.
        table = pq.read_table(file, columns=list(dict.fromkeys(columns)))
        return table.to_pandas(ignore_metadata=True)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def _unconverted(file: Path, columns: Sequence[str], arrays: Sequence[pa.Array], first: int) -> InputError | None:
    """The first cell of a batch that Python cannot hold."""
    for place in range(len(arrays[0])):
        for column, array in zip(columns, arrays, strict=True):
            try:
                array[place].as_py()
            except _CONVERSION as error:
                return InputError(
                    f"{file}, row {first + place}: the cell of the column {column!r} cannot be read "
                    f"({str(error)[:200]}); correct it"
                )
    return None


def _batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The columns as Arrow has them, in batches of some 4 MB; other columns are not read."""
    try:
        # Read as it is needed, without the buffer that would hold all that is read, to the end.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20) as opened:
            size = _batch_size(opened, columns)
            yield from opened.iter_batches(size, columns=list(dict.fromkeys(columns)), use_threads=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(
        f"{file}: cannot be read as a table ({str(error)[:200]}); if it is cut short or damaged, fetch it again"
    )


def _batch_size(file: pq.ParquetFile, columns: Sequence[str]) -> int:
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    parts = [group.column(number) for group in groups for number in range(group.num_columns)]
    # The leaves of a column are called by their paths in it.
    wanted = tuple(f"{column}." for column in columns)
    size = sum(part.total_uncompressed_size for part in parts if f"{part.path_in_schema}.".startswith(wanted))
    most = ROWS_OF_BYTES if any(holds_bytes(file.schema_arrow.field(column).type) for column in columns) else ROWS
    return max(1, min(most, BYTES * file.metadata.num_rows // max(1, size)))


def _converters(file: Path, columns: Sequence[str]) -> dict[str, Convert]:
    schema = schema_of(file)
    features = features_of(schema, file)
    found = {}
    for column in columns:
        kind = schema.field(column).type
        convert = converter(kind, features.get(column))
        if convert is None:
            raise InputError(
                f"{file}: the column {column!r} holds values of type {str(kind)[:60]}, which cannot be read; write "
                "them as text, numbers, pictures, or lists of these"
            )
        found[column] = convert
    return found
