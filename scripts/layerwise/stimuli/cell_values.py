"""Rows with some values alone: ``only`` of a table, and of a label."""

import ast
import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from layerwise.config.base import Each, Filled

Value = str | int | float | bool
Values = Annotated[
    Annotated[Value, Tag("value")] | Annotated[Annotated[list[Value], Each(1)], Tag("list")],
    # The tags are part of messages.
    Discriminator(lambda values: "list" if isinstance(values, list) else "value"),
]
Only = Annotated[dict[str, Values], Filled()]


def key_of(cell: Any) -> str:
    """A cell as it is compared with values of the config: as text, without blanks at its ends, upper case as lower."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell).strip().casefold()


def wanted_keys(only: Mapping[str, Any] | None) -> dict[str, set[str]]:
    """By column, the values that are asked for, as :func:`key_of` compares them."""
    return {
        column: {key_of(value) for value in (values if isinstance(values, list) else [values])}
        for column, values in (only or {}).items()
    }


def has_keys(cells: Mapping[str, Any], wanted: Mapping[str, set[str]]) -> bool:
    """Whether a row has one of the wanted values in every column."""
    return all(key_of(cells[column]) in values for column, values in wanted.items())


def as_it_reads(cell: Any) -> Any:
    """A cell; of a list or a struct written as text, as in a CSV, what it says."""
    if isinstance(cell, str) and cell.strip()[:1] in ("[", "{"):
        for read in (json.loads, ast.literal_eval):
            try:
                return read(cell)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    return cell


def as_list(cell: Any) -> list[Any] | None:
    """A cell that is a list, or a list written as text; None for any other cell."""
    found = as_it_reads(cell)
    return found if isinstance(found, list) else None
