"""Is what a label needs in some image tokens, and does a probe that may choose look at its object?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.pooled import draw_pooled

    return draw_pooled(
        given.comparison("pooled-differences"), given.comparison("pooled-places"), given.tasks, given.models
    )


FIGURE = Figure(
    place=32,
    title="Probes that choose image tokens",
    reads=("pooled-differences", "pooled-places", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.pooled,
)
