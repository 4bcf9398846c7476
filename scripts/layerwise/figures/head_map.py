"""A map of the attention heads: the test score of each, and whether it is above chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.sites import draw_heads

    return draw_heads(given.comparison("within-blocks"), given.tasks, given.models)


FIGURE = Figure(
    place=16,
    title="Single heads",
    reads=("within-blocks", "tasks", "models"),
    draw=draw,
    exists=lambda study: "heads" in study.sites,
    variants=lambda study: {"": "by head"},
)
