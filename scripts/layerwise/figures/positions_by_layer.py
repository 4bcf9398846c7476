"""At which token does it sit, in which layer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.positions import draw_positions

    return draw_positions(given.comparison("positions-by-layer"), given.tasks, given.models)


FIGURE = Figure(
    place=28,
    title="Position in the text by layer",
    reads=("positions-by-layer", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.task_positions,
)
