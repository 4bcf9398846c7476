"""Tasks about numbers: is some layer below the top better than the topmost block, and which layers are as good?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.numbers import number_sections
    from layerwise.figures.writing.sections import numbers_csv

    table = given.comparison("numbers")
    return number_sections(table), numbers_csv(table)


TABLE = Table(
    title="Numbers: best layer and topmost block",
    category="Tables",
    labels={"table": "Numbers: best layer and topmost block"},
    reads=("numbers",),
    write=write,
    exists=lambda study: study.numbers,
)
