"""Tables as the page reads them: columns in JSON, text as numbers of a list of its values."""

import math
from typing import Any

import numpy as np
import pandas as pd


def as_columns(table: pd.DataFrame) -> dict[str, Any]:
    """A table as JSON has it.

    Returns:
        ``rows`` (how many) and ``columns``. A column of text is ``{"values": [...], "codes": [...]}``: of each row the
        place of its value, -1 where it is missing. Any other column is a list, with None for NaN and infinity.
    """
    return {"rows": len(table), "columns": {str(name): _column(table[name]) for name in table}}


def _column(column: pd.Series) -> Any:
    if pd.api.types.is_bool_dtype(column):
        return [bool(value) for value in column]
    if pd.api.types.is_integer_dtype(column):
        return [int(value) for value in column]
    if pd.api.types.is_float_dtype(column):
        return [_number(value) for value in column.to_numpy(dtype=np.float64, na_value=math.nan)]
    codes, values = pd.factorize(column)
    return {"values": [str(value) for value in values], "codes": [int(code) for code in codes]}


def _number(value: float) -> int | float | None:
    """A number as short as JSON can have it."""
    if not math.isfinite(value):
        return None
    return int(value) if value == int(value) and abs(value) < 2**53 else float(value)
