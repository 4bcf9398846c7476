"""Table 4: which concepts the model uses, and in which blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.figures.writing.used import used_sections, used_table

    table = used_table(given.comparison("used"), given.comparison("used-above"))
    return used_sections(table, given.comparison("used-across")), numbers_csv(table)


TABLE = Table(
    title="Table 4: used",
    category="Tables",
    labels={"table": "4 Used"},
    reads=("used", "used-across", "used-above"),
    write=write,
    exists=lambda study: bool(study.used),
)
