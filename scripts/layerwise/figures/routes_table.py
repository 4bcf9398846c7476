"""Trained routes: what each brings, beside a probe of the top with as many parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.routes import route_sections
    from layerwise.figures.writing.sections import numbers_csv

    table = given.comparison("routes")
    return route_sections(table), numbers_csv(table)


TABLE = Table(
    title="Trained routes",
    category="Tables",
    labels={"table": "Trained routes"},
    reads=("routes",),
    write=write,
    exists=lambda study: study.routes,
)
