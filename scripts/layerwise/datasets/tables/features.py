"""What the library ``datasets`` notes in a Parquet file about its columns: names of classes, and which are pictures.

It writes JSON into the schema's metadata under ``huggingface``, one feature a column (datasets 5.2, and before)::

    {"info": {"features": {
        "image": {"_type": "Image"},
        "label": {"names": ["no", "yes"], "_type": "ClassLabel"},
        "tags": {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "List"},
        "objects": {"feature": {"name": {"dtype": "string", "_type": "Value"}}, "_type": "Sequence"},
        "parts": [{"name": {"dtype": "string", "_type": "Value"}}]}}}

A mapping without ``_type`` is a struct. A list is ``List``, ``LargeList``, ``Sequence`` (before 4.0) or, of one part, a
JSON list. A ``Sequence`` of a struct is stored as a struct of lists.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from layerwise.errors import InputError

METADATA = b"huggingface"
_LISTS = ("List", "LargeList", "Sequence")


def features_of(schema: pa.Schema, file: Path) -> dict[str, Any]:
    """The features of the columns, by name; none if another program wrote the file.

    Raises:
        InputError: when the note is there and cannot be read.
    """
    note = (schema.metadata or {}).get(METADATA)
    if note is None:
        return {}
    try:
        features = (json.loads(note).get("info") or {}).get("features") or {}
        return dict(features)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{file}: its metadata {METADATA.decode()!r} does not say what the columns hold; write it again, or "
            "without that"
        ) from error


def type_of(feature: Any) -> str | None:
    """The name of a feature's type; None for structs and lists in short."""
    found = feature.get("_type") if isinstance(feature, dict) else None
    # A struct may have a field of this name.
    return found if isinstance(found, str) else None


def inner(feature: Any) -> Any:
    """The feature of a list's parts."""
    if isinstance(feature, list):
        return feature[0] if feature else None
    return feature.get("feature") if type_of(feature) in _LISTS else None


def field(feature: Any, name: str) -> Any:
    """The feature of a struct's field."""
    if type_of(feature) in _LISTS and isinstance(fields := feature.get("feature"), dict):
        # Stored as a struct of lists.
        return [fields.get(name)]
    return feature.get(name) if isinstance(feature, dict) and type_of(feature) is None else None


def class_names_of(feature: Any) -> list[str] | None:
    """The names of the classes whose numbers a column or its lists hold."""
    while (parts := inner(feature)) is not None:
        feature = parts
    names = feature.get("names") if type_of(feature) == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else None
