"""Numbers with commas: what to write in their place, by what the table shows of their meaning."""

import json
from pathlib import Path

import pytest

from layerwise.errors import InputError
from layerwise.stimuli.kinds.table import build_table
from layerwise.stimuli.making import read_entry

POINTS = "and a point in place of the comma in all cells of this column"
NO_COMMAS = "and take the commas out of all cells of this column"
EITHER = "write 1571 if the comma parts thousands, or 1.571 if it is a decimal comma"


def build(folder: Path, cells: list[str], separator: str, **label: str):
    (folder / "a.jpg").write_bytes(b"none that is read")
    lines = separator.join(["image", "far"]), *(f'a.jpg{separator}"{cell}"' for cell in cells)
    (folder / "t.csv").write_text("\n".join(lines) + "\n")
    entry = {"kind": "table", "file": str(folder / "t.csv"), "labels": {"far": {"as": "number"} | label}}
    return build_table(read_entry(entry))[0]


@pytest.mark.parametrize(
    ("separator", "cells", "row", "fix"),
    [
        # Each cell may be either: what parts the cells tells.
        (";", ["2", "1,571"], 3, f"write 1.571, {POINTS}; if commas part thousands here, write 1571"),
        ("|", ["-1,571"], 2, f"write -1.571, {POINTS}; if commas part thousands here, write -1571"),
        (",", ["1,571"], 2, EITHER),
        # The cell itself tells, or another one of its column.
        (",", ["0,5"], 2, f"write 0.5, {POINTS}"),
        (",", ["1.571,5"], 2, f"write 1571.5, {POINTS}"),
        (",", ["1,571", "0,5"], 2, f"write 1.571, {POINTS}"),
        (";", ["1,571", "2,000,000"], 2, f"write 1571, {NO_COMMAS}"),
        (";", ["1,571.25"], 2, f"write 1571.25, {NO_COMMAS}"),
        ("\t", ["0.5", "1,571"], 3, f"write 1571, {NO_COMMAS}"),
        # Cells that contradict each other tell nothing.
        (",", ["1,571", "0.5", "0,5"], 2, EITHER),
    ],
)
def test_a_number_with_a_comma_says_what_to_write(tmp_path, separator, cells, row, fix):
    number = cells[row - 2]
    with pytest.raises(InputError) as raised:
        build(tmp_path, cells, separator)
    assert str(raised.value) == (
        f"{tmp_path / 't.csv'}, row {row}: the column 'far' is {number!r}, not a number; {fix}"
    )


@pytest.mark.parametrize("cell", ["", "near", "1,5 m", "1,2,3"])
def test_what_is_no_number_may_be_left_out(tmp_path, cell):
    with pytest.raises(InputError, match=r"row 2: .*or leave such items out of this label with `others: leave-out`"):
        build(tmp_path, [cell, "2"], ";")
    made = build(tmp_path, [cell, "2"], ";", others="leave-out")
    assert json.loads(made.provenance["number:far"].to_json()) == {"0": None, "1": 2.0}
