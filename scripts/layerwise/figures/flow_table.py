"""The windows in which blocked attention costs most, with what was asked and kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Contents, Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.flow import both_measures, flow_sections
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.flow.results import read_flow_description

    strongest = given.comparison("flow-strongest")
    differences = given.comparison(DIFFERENCES) if given.files.get(DIFFERENCES) else None
    descriptions = [read_flow_description(path) for path in given.paths("description")]
    sections = flow_sections(strongest, descriptions, differences)
    return sections, numbers_csv(strongest if differences is None else both_measures(strongest, differences))


DIFFERENCES = "flow-strongest-differences"


def read_too(study: Contents) -> tuple[str, ...]:
    return (DIFFERENCES,) if any("distractors" in had for had in study.question_sets.values()) else ()


TABLE = Table(
    title="Information flow: strongest windows",
    category="Information flow",
    labels={"figure": "strongest windows", "model": "all", "questions": "all"},
    reads=("flow-strongest", "description"),
    write=write,
    exists=lambda study: study.flow,
    per_flow=True,
    reads_too=read_too,
)
