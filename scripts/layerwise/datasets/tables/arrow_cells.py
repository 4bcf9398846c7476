"""What is in a cell of a Parquet file, by its type: text, a number, a picture, or a list or struct of these."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import types

from layerwise.datasets.tables.cells import Picture
from layerwise.datasets.tables.features import class_names_of, field, inner, type_of

# From what pyarrow gives to what a cell is.
Convert = Callable[[Any], Any]
_TEXT = (types.is_string, types.is_large_string, types.is_string_view)
_BYTES = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary, types.is_binary_view)
_LISTS = (
    *(types.is_list, types.is_large_list, types.is_fixed_size_list),
    *(types.is_list_view, types.is_large_list_view),
)
_AS_THEY_ARE = (*_TEXT, types.is_boolean, types.is_integer, types.is_null)


class NoCellError(ValueError):
    """What a cell holds that is none."""


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


def converter(kind: pa.DataType, feature: Any) -> Convert | None:
    """How values of a type become cells; None for a type that has none."""
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.json":
            return _json
        if kind.extension_name == "arrow.uuid":
            return _text
        return converter(kind.storage_type, feature)
    if types.is_dictionary(kind):
        return converter(kind.value_type, feature)
    if _is(kind, _LISTS):
        return _of_list(converter(kind.value_type, inner(feature)))
    if types.is_map(kind):
        return _of_map(converter(kind.key_type, None), converter(kind.item_type, None))
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
        return _text
    if _is(kind, _BYTES):
        return lambda value: Picture(value, None) if value else None
    return None


def _of_list(part: Convert | None) -> Convert | None:
    if part is None:
        return None
    return lambda values: None if values is None else [part(value) for value in values]


def _of_map(key: Convert | None, item: Convert | None) -> Convert | None:
    if key is None or item is None:
        return None
    return lambda pairs: None if pairs is None else {key(name): item(value) for name, value in pairs}


def _of_struct(kind: pa.StructType, feature: Any) -> Convert | None:
    fields = {part.name: part.type for part in kind}
    is_picture = _is(fields.get("bytes", pa.null()), _BYTES) and fields.keys() <= {"bytes", "path"}
    if is_picture or (type_of(feature) == "Image" and "path" in fields):
        return _picture
    parts = {name: converter(part, field(feature, name)) for name, part in fields.items()}
    converters = {name: convert for name, convert in parts.items() if convert is not None}
    if len(converters) < kind.num_fields:
        return None
    return lambda value: None if value is None else {name: part(value[name]) for name, part in converters.items()}


def _picture(value: dict[str, Any] | None) -> Picture | None:
    if value is None:
        return None
    content, path = value.get("bytes") or None, value.get("path") or None
    return None if content is None and path is None else Picture(content, path)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _json(value: str | None) -> Any:
    try:
        return None if value is None else json.loads(value)
    except ValueError as error:
        raise NoCellError(f"no valid JSON ({error})") from error


def _class_name(value: int | None, names: list[str]) -> str | None:
    # As datasets writes an unknown class.
    if value is None or value == -1:
        return None
    if not 0 <= value < len(names):
        raise NoCellError(f"the class {value}, but only 0 to {len(names) - 1} have names")
    return names[value]


def _number(value: float | None) -> float | None:
    return None if value is None or value != value else value


def _short_number(width: type[np.floating]) -> Convert:
    # 0.1 as float32 is 0.10000000149011612 otherwise.
    return lambda value: None if _number(value) is None else float(str(width(value)))


def _decimal(value: Any) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _is(kind: pa.DataType, checks: Sequence[Callable[[pa.DataType], bool]]) -> bool:
    return any(is_one(kind) for is_one in checks)
