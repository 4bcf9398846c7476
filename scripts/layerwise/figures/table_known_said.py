"""Known and said: what the best layer knows, and how well the model says it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.known_said import known_said_sections, known_said_table
    from layerwise.figures.writing.sections import numbers_csv

    tables = (given.comparison(name) for name in ("known-said-top", "known-said", "said"))
    table = known_said_table(*tables)
    return known_said_sections(table), numbers_csv(table)


TABLE = Table(
    title="Known and said",
    category="Tables",
    labels={"table": "Known and said"},
    reads=("known-said-top", "known-said", "said"),
    write=write,
    exists=lambda study: bool(study.says),
)
