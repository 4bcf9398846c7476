"""Scores by layer with all pictures of an item in order, and with other pictures, or none, in the same words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.picture_controls import draw_controls

    return draw_controls(given.comparison("picture-controls"), given.tasks)


FIGURE = Figure(
    place=25,
    title="Which pictures are needed",
    reads=("picture-controls", "tasks"),
    draw=draw,
    exists=lambda study: study.picture_controls,
)
