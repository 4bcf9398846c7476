"""Tables in the page's JSON: nothing is lost or rounded, and what repeats is written once."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from layerwise.explore.columns import as_columns
from tests.page_tables import as_table

ROWS = 400
COLUMNS = {
    "text": pd.Series([f"name {i % 7}" for i in range(ROWS)]),
    "sorted text": pd.Series([f"name {i // 100}" for i in range(ROWS)]),
    "text with gaps": pd.Series(["a", None] * (ROWS // 2)),
    "counts": pd.Series(range(ROWS)),
    "counts with gaps": pd.Series([1, None, 3, 4] * (ROWS // 4), dtype="Int64"),
    "scores": pd.Series(np.random.default_rng(0).random(ROWS)),
    "shares": pd.Series(np.round(np.random.default_rng(0).random(ROWS) * 20) / 20),
    "constant": pd.Series([0.1 + 0.2] * ROWS),
    "gaps": pd.Series([0.25, math.nan, math.inf, 1.0] * (ROWS // 4)),
    "flags": pd.Series([True, False] * (ROWS // 2)),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_a_column_comes_back_as_it_was(name):
    column = COLUMNS[name]
    back = as_table(json.loads(json.dumps(as_columns(column.to_frame(name)), allow_nan=False)))[name]
    expected = column.astype(object).where(column.notna() & (column.astype(object) != math.inf), None)
    assert [None if pd.isna(value) else value for value in back] == expected.tolist()


@pytest.mark.parametrize("name", ["sorted text", "constant"])
def test_what_seldom_changes_is_written_as_runs(name):
    (packed,) = as_columns(COLUMNS[name].to_frame())["columns"].values()
    assert len(packed["runs"]) == 2 * COLUMNS[name].nunique()
    assert "codes" not in packed


def test_an_empty_table_has_no_rows():
    assert as_columns(pd.DataFrame({"value": pd.Series(dtype=float)}))["rows"] == 0
