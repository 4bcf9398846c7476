"""The table of specification curves: a row for each model and task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.figures.writing.specifications import curve_sections

    table = given.comparison("specifications")
    return curve_sections(table), numbers_csv(table)


TABLE = Table(
    title="Specifications: does the claim depend on choices?",
    category="Tables",
    labels={"table": "Specifications"},
    reads=("specifications",),
    write=write,
    exists=lambda study: bool(study.specifications),
)
