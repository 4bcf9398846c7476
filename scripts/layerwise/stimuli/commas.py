"""Numbers with commas in a table: what they may mean, and what to write in their place."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from layerwise.datasets.tables import parted_by
from layerwise.datasets.text_files import shown
from layerwise.errors import InputError
from layerwise.stimuli.label_columns import LabelColumn, label_cell
from layerwise.stimuli.table_rows import TableRow

# 1,500 is a thousand and a half to some, and one and a half to others.
EITHER = re.compile(r"[+-]?\d{1,3},\d{3}")
# In these, commas part thousands: 1,500,000 and 1,500.5.
THOUSANDS = re.compile(r"[+-]?\d{1,3}((,\d{3}){2,}(\.\d*)?|,\d{3}\.\d*)")
# In these, the comma is a decimal one: 0,5 and 1.500,5 and 1,5e3.
DECIMAL = re.compile(r"[+-]?(\d*|\d{1,3}(\.\d{3})+),\d+(e[+-]?\d+)?", re.IGNORECASE)
# In these, the point is a decimal one, so that commas beside them part thousands.
POINT = re.compile(r"[+-]?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)


def check_commas(labels: Mapping[str, LabelColumn], rows: Sequence[TableRow]) -> None:
    """Refuse numbers with commas, with what to write. Labels that leave out what is no number are not looked at.

    What a comma means is told by the other cells of its column, and failing these by what parts the table's cells.

    Raises:
        InputError: naming file, row, cell and fix.
    """
    for name, label in labels.items():
        if label.is_number and label.others == "refuse":
            _check(label.column or name, [(row, label_cell(name, label, row.cells)) for row in rows])


def _check(column: str, cells: Sequence[tuple[TableRow, Any]]) -> None:
    written = [(row, cell.strip()) for row, cell in cells if isinstance(cell, str)]
    found = next(((row, text) for row, text in written if _has_comma(text)), None)
    if found is None:
        return
    row, text = found
    means = _meaning(text) or _of_others(text for _, text in written)
    decimal, thousands = text.replace(".", "").replace(",", "."), text.replace(",", "")
    if means is THOUSANDS:
        fix = f"write {thousands}, and take the commas out of all cells of this column"
    elif means is DECIMAL:
        fix = f"write {decimal}, and a point in place of the comma in all cells of this column"
    elif all(parted_by(file) not in (None, ",") for file in row.part.files):
        fix = (
            f"write {decimal}, and a point in place of the comma in all cells of this column; if commas part "
            f"thousands here, write {thousands}"
        )
    else:
        fix = f"write {thousands} if the comma parts thousands, or {decimal} if it is a decimal comma"
    raise InputError(f"{row.where}: the column {column!r} is {shown(text)}, not a number; {fix}")


def _has_comma(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in (EITHER, THOUSANDS, DECIMAL))


def _meaning(text: str) -> re.Pattern[str] | None:
    """What a comma means, if the cell itself tells."""
    if EITHER.fullmatch(text):
        return None
    return next((pattern for pattern in (THOUSANDS, DECIMAL) if pattern.fullmatch(text)), None)


def _of_others(texts: Iterable[str]) -> re.Pattern[str] | None:
    """What commas mean in a column; None if no cell tells, or cells contradict each other."""
    told = {THOUSANDS if POINT.fullmatch(text) else _meaning(text) for text in texts} - {None}
    return told.pop() if len(told) == 1 else None
