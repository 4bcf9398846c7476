"""Tables of the page, read back from its JSON as its scripts do."""

from typing import Any

import numpy as np
import pandas as pd


def as_table(packed: dict[str, Any]) -> pd.DataFrame:
    """What ``layerwise.explore.columns.as_columns`` packed."""
    table = pd.DataFrame({name: _column(column) for name, column in packed["columns"].items()})
    assert len(table) == packed["rows"]
    return table


def _column(column: Any) -> list[Any]:
    if isinstance(column, list):
        return column
    runs = column.get("runs", [])
    codes = column["codes"] if "codes" in column else np.repeat(runs[::2], runs[1::2])
    values = column["values"] if "values" in column else column["numbers"]
    return [None if code < 0 else values[code] for code in codes]
