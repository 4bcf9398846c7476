"""The windows in which blocked attention costs most, with what was asked and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.flow import flow_sections
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.flow.results import read_flow_description

    strongest = given.comparison("flow-strongest")
    descriptions = [read_flow_description(path) for path in given.paths("description")]
    return flow_sections(strongest, descriptions), numbers_csv(strongest)


TABLE = Table(
    title="Information flow: strongest windows",
    category="Information flow",
    labels={"figure": "strongest windows", "model": "all", "questions": "all"},
    reads=("flow-strongest", "description"),
    write=write,
    exists=lambda study: study.flow,
    per_flow=True,
)
