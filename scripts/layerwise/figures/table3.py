"""Table 3: what an intervention does to the topmost block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.interventions import effect_sections
    from layerwise.figures.writing.sections import numbers_csv

    table = given.comparison("interventions")
    return effect_sections(table), numbers_csv(table)


TABLE = Table(
    title="Table 3: interventions",
    category="Tables",
    labels={"table": "3 Interventions"},
    reads=("interventions",),
    write=write,
    exists=lambda study: study.probes and bool(study.interventions),
)
