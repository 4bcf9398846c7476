"""Which part of the image does the question look at? Its patches of the object blocked, or all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


LINES = {
    "object->question": "patches of the object \N{RIGHTWARDS ARROW} question",
    "other->question": "other patches \N{RIGHTWARDS ARROW} question",
}


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow import draw_changes

    return draw_changes(given, LINES)


FIGURE = Figure(
    title="objects",
    reads=("flow-changes", "description"),
    draw=draw,
    exists=lambda study: study.flow,
    per_flow=True,
    only_with="boxes",
)
