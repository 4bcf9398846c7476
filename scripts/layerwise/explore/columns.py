"""Tables as the page reads them: columns in JSON, kept short by naming values that repeat once."""

import math
from typing import Any

import numpy as np
import pandas as pd

# Columns whose values repeat so often, on average, are written as numbers of a list of their values.
REPEATED = 4


def as_columns(table: pd.DataFrame) -> dict[str, Any]:
    """A table as JSON has it; ``layerwise.unpackColumn`` of ``report/page/rows.js`` reads its columns.

    Returns:
        ``rows`` (how many) and ``columns``. A column of text is ``{"values": [...], "codes": [...]}``: of each row the
        place of its value, -1 where it is missing. Any other column is a list, with None for NaN and infinity, or
        ``{"numbers": [...], "codes": [...]}`` if its numbers repeat. Instead of ``codes``, a column of few changes has
        ``runs``: a code, how many rows have it, the next code, and so on.
    """
    return {"rows": len(table), "columns": {str(name): _column(table[name]) for name in table}}


def _column(column: pd.Series) -> Any:
    if pd.api.types.is_bool_dtype(column):
        return [bool(value) for value in column]
    if not pd.api.types.is_numeric_dtype(column):
        codes, values = pd.factorize(column)
        return {"values": [str(value) for value in values]} | _codes(codes)
    numbers = column.to_numpy(dtype=np.float64, na_value=math.nan)
    codes, values = pd.factorize(np.where(np.isfinite(numbers), numbers, math.nan))
    if len(values) * REPEATED > len(numbers):
        return [_number(value) for value in numbers]
    return {"numbers": [_number(value) for value in values]} | _codes(codes)


def _codes(codes: np.ndarray) -> dict[str, list[int]]:
    starts = np.flatnonzero(np.diff(codes, prepend=-2))
    if len(starts) * REPEATED > len(codes):
        return {"codes": codes.tolist()}
    lengths = np.diff(starts, append=len(codes))
    return {"runs": np.stack([codes[starts], lengths], axis=1).ravel().tolist()}


def _number(value: float) -> int | float | None:
    """A number as short as JSON can have it."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else float(value)
