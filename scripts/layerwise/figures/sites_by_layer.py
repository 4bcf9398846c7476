"""What attention, MLP and the best head of each block hold, beside the block's output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.sites import draw_sites

    return draw_sites(given.comparison("within-blocks"), given.comparison("headline"), given.tasks, given.models)


FIGURE = Figure(
    place=15,
    title="Attention, MLP, heads",
    reads=("within-blocks", "headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: bool(study.sites),
)
