"""Is all of a set right? Shares of sets of items that belong together, at the best layer and in what the model says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.consistency import consistency_sections
    from layerwise.figures.writing.sections import numbers_csv

    table = given.comparison("consistency")
    return consistency_sections(table), numbers_csv(table)


TABLE = Table(
    title="Consistency",
    category="Tables",
    labels={"table": "Consistency"},
    reads=("consistency",),
    write=write,
    exists=lambda study: study.consistency,
)
