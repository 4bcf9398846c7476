"""The heads in which blocked attention costs most, and named groups of heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.flow_heads import head_sections
    from layerwise.figures.writing.sections import numbers_csv

    strongest = given.comparison("flow-strongest-heads")
    return head_sections(strongest, given.comparison("flow-heads")), numbers_csv(strongest)


TABLE = Table(
    title="Information flow: heads",
    category="Information flow",
    labels={"figure": "heads", "model": "all", "questions": "all"},
    reads=("flow-strongest-heads", "flow-heads"),
    write=write,
    exists=lambda study: study.flow_heads,
    per_flow=True,
)
