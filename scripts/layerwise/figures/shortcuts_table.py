"""What simple features of text and picture reach, and how far the best layer is above them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.figures.writing.shortcuts import sections

    table = given.comparison("shortcuts")
    return sections(table), numbers_csv(table)


TABLE = Table(
    title="What shortcuts reach",
    category="Tables",
    labels={"table": "What shortcuts reach"},
    reads=("shortcuts",),
    write=write,
    exists=lambda study: study.shortcuts,
)
