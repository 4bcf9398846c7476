"""Parquet: cells of any type that comes to text, numbers, pictures, or lists and structs of them."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from layerwise.datasets.tables.cells import Picture, Row
from layerwise.datasets.tables.features import class_names_of, features_of, field, inner, type_of
from layerwise.datasets.tables.files import beginning_of
from layerwise.errors import InputError

# Of a batch, and at most so many rows: equal values are stored once and read as many.
BYTES, ROWS, ROWS_OF_BYTES = 2**23, 4096, 32

# From what pyarrow gives to what a cell is.
_Convert = Callable[[Any], Any]
_TEXT = (types.is_string, types.is_large_string, types.is_string_view)
_BYTES = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
_LISTS = (
    *(types.is_list, types.is_large_list, types.is_fixed_size_list),
    *(types.is_list_view, types.is_large_list_view),
)
_AS_THEY_ARE = (*_TEXT, types.is_boolean, types.is_integer, types.is_null)


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


def whole(file: Path, columns: Sequence[str]) -> pa.Table:
    """The columns as Arrow has them, at once.

    Raises:
        InputError: when the file cannot be read.
    """
    beginning_of(file)
    try:
        # Only these columns: others may hold gigabytes of pictures.
        return pq.read_table(file, columns=list(dict.fromkeys(columns)))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


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
    number = 1
    for batch in batches(file, columns):
        cells = [batch.column(column).to_pylist() for column in columns]
        for place in range(len(batch)):
            number += 1
            where = f"{file}, row {number}"
            row = {}
            for column, values in zip(columns, cells, strict=True):
                try:
                    row[column] = converters[column](values[place])
                except _NoCellError as error:
                    raise InputError(f"{where}: the column {column!r} holds {error}; correct it") from error
            yield Row(where, row)


def batches(file: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The columns as Arrow has them, in batches of some 8 MB; other columns are not read.

    Raises:
        InputError: when the file cannot be read.
    """
    try:
        # Read as it is needed: a row group may hold gigabytes of pictures.
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=2**20) as opened:
            size = _batch_size(opened, columns)
            yield from opened.iter_batches(size, columns=list(dict.fromkeys(columns)), use_threads=False)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _unreadable(file, error) from error


def is_text_or_number(kind: pa.DataType) -> bool:
    """Whether cells of a type are text, numbers, truth values or times."""
    if types.is_dictionary(kind):
        return is_text_or_number(kind.value_type)
    plain = (*_AS_THEY_ARE, types.is_floating, types.is_decimal, types.is_temporal)
    return any(is_one(kind) for is_one in plain)


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether pictures may be in cells of a type."""
    if types.is_dictionary(kind):
        return holds_bytes(kind.value_type)
    if types.is_nested(kind):
        return any(holds_bytes(kind.field(i).type) for i in range(kind.num_fields))
    return _is(kind, _BYTES)


class _NoCellError(ValueError):
    """What a cell holds that is none."""


def _is(kind: pa.DataType, checks: Sequence[Callable[[pa.DataType], bool]]) -> bool:
    return any(is_one(kind) for is_one in checks)


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


def _converters(file: Path, columns: Sequence[str]) -> dict[str, _Convert]:
    schema = schema_of(file)
    features = features_of(schema, file)
    found = {}
    for column in columns:
        kind = schema.field(column).type
        convert = _converter(kind, features.get(column))
        if convert is None:
            raise InputError(
                f"{file}: the column {column!r} holds values of type {str(kind)[:60]}, which cannot be read; write "
                "them as text, numbers, pictures, or lists of these"
            )
        found[column] = convert
    return found


def _converter(kind: pa.DataType, feature: Any) -> _Convert | None:
    """How values of a type become cells; None for a type that has none."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.json":
            return _json
        return _converter(kind.storage_type, feature)
    if types.is_dictionary(kind):
        return _converter(kind.value_type, feature)
    if _is(kind, _LISTS):
        return _of_list(_converter(kind.value_type, inner(feature)))
    if types.is_map(kind):
        return _of_map(_converter(kind.key_type, None), _converter(kind.item_type, None))
    if types.is_struct(kind):
        return _of_struct(kind, feature)
    if types.is_integer(kind) and (names := class_names_of(feature)) is not None:
        return lambda value: _class_name(value, names)
    if _is(kind, _AS_THEY_ARE):
        return lambda value: value
    if types.is_floating(kind):
        return _short_number(np.float16 if types.is_float16(kind) else np.float32) if kind.bit_width < 64 else _number
    if types.is_decimal(kind):
        return _decimal
    if types.is_temporal(kind):
        return lambda value: None if value is None else str(value)
    if _is(kind, _BYTES):
        return lambda value: Picture(value, None) if value else None
    return None


def _of_list(part: _Convert | None) -> _Convert | None:
    if part is None:
        return None
    return lambda values: None if values is None else [part(value) for value in values]


def _of_map(key: _Convert | None, item: _Convert | None) -> _Convert | None:
    if key is None or item is None:
        return None
    return lambda pairs: None if pairs is None else {key(name): item(value) for name, value in pairs}


def _of_struct(kind: pa.StructType, feature: Any) -> _Convert | None:
    fields = {part.name: part.type for part in kind}
    is_picture = _is(fields.get("bytes", pa.null()), _BYTES) and fields.keys() <= {"bytes", "path"}
    if is_picture or (type_of(feature) == "Image" and "path" in fields):
        return _picture
    parts = {name: _converter(part, field(feature, name)) for name, part in fields.items()}
    converters = {name: convert for name, convert in parts.items() if convert is not None}
    if len(converters) < kind.num_fields:
        return None
    return lambda value: None if value is None else {name: part(value[name]) for name, part in converters.items()}


def _picture(value: dict[str, Any] | None) -> Picture | None:
    if value is None:
        return None
    content, path = value.get("bytes") or None, value.get("path") or None
    return None if content is None and path is None else Picture(content, path)


def _json(value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError as error:
        raise _NoCellError(f"no valid JSON ({error})") from error


def _class_name(value: int | None, names: list[str]) -> str | None:
    # As datasets writes an unknown class.
    if value is None or value == -1:
        return None
    if not 0 <= value < len(names):
        raise _NoCellError(f"the class {value}, but only 0 to {len(names) - 1} have names")
    return names[value]


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _short_number(width: type[np.floating]) -> _Convert:
    # 0.1 as float32 is 0.10000000149011612 otherwise.
    return lambda value: None if _number(value) is None else float(str(width(value)))


def _decimal(value: Any) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)
