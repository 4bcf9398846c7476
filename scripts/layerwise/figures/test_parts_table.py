"""Parts of the test items: the best layer's score on seen and unseen texts, and where the text alone is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.figures.writing.test_parts import test_parts_sections

    table = given.comparison("test-parts")
    return test_parts_sections(table), numbers_csv(table[table["is_best"]])


TABLE = Table(
    title="Parts of the test items",
    category="Tables",
    labels={"table": "Parts of the test items"},
    reads=("test-parts",),
    write=write,
    exists=lambda study: bool(study.parts),
)
