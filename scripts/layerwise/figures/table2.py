"""Table 2: is some layer below the top better than the topmost block, and which layers are as good as the best?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Table

if TYPE_CHECKING:
    from layerwise.compare.inputs import Given
    from layerwise.figures.writing.sections import Section


def write(given: Given, position: str) -> tuple[list[Section], str]:
    from layerwise.figures.writing.best_layers import comparison_sections
    from layerwise.figures.writing.sections import numbers_csv

    table = given.comparison("best-layers")
    sections = comparison_sections(table)
    without = [name for name in table if "_redrawn_" in name and table[name].isna().all()]
    return sections, numbers_csv(table.drop(columns=without))


TABLE = Table(
    title="Table 2: best layer and topmost block",
    category="Tables",
    labels={"table": "2 Best layer and topmost block"},
    reads=("best-layers",),
    write=write,
    exists=lambda study: study.probes,
)
