"""Is knowledge of the picture lost between the vision tower and the decoder's last block?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.sections import numbers_csv
    from layerwise.figures.writing.tower import sections

    table = given.comparison("tower-differences")
    return sections(table), numbers_csv(table)


TABLE = Table(
    title="From the vision tower to the decoder",
    category="Tables",
    labels={"table": "From the vision tower to the decoder"},
    reads=("tower-differences",),
    write=write,
    exists=lambda study: study.tower,
)
