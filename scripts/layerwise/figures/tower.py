"""Where between the pixels and the last block is it: vision tower, projector and decoder on one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.tower import draw_tower

    return draw_tower(given.comparison("tower"), given.tasks, given.models)


FIGURE = Figure(
    place=29,
    title="Vision tower, projector and decoder",
    reads=("tower", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.tower,
)
