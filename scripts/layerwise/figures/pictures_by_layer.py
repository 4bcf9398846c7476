"""What the tokens of each picture hold, beside the token that other figures read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.pictures_by_layer import draw_pictures

    return draw_pictures(given.comparison("picture-positions"), given.tasks, given.models)


FIGURE = Figure(
    place=26,
    title="Each picture's tokens",
    reads=("picture-positions", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.positions,
)
