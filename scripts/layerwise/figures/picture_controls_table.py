"""What each picture is worth: best layers with all pictures in order, and with other pictures or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.picture_controls import best_rows, sections
    from layerwise.figures.writing.sections import numbers_csv

    table = best_rows(given.comparison("picture-controls"))
    return sections(table), numbers_csv(table)


TABLE = Table(
    title="Which pictures are needed",
    category="Tables",
    labels={"table": "Which pictures are needed"},
    reads=("picture-controls",),
    write=write,
    exists=lambda study: study.picture_controls,
)
