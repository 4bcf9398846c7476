"""Is what is erased the concept alone? A map of erased concepts by the tasks whose answers they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.used import draw_across

    return draw_across(given.comparison("used"), given.comparison("used-across"))


FIGURE = Figure(
    place=22,
    title="Used: between tasks",
    reads=("used", "used-across"),
    draw=draw,
    exists=lambda study: bool(study.used),
    variants=lambda study: {"": "by task"},
)
