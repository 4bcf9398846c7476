"""Which attention does the choice between two answers need? How far the right one's logit is above the wrong one's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow import draw_differences

    return draw_differences(given)


FIGURE = Figure(
    title="logit-difference",
    reads=("flow-differences", "description"),
    draw=draw,
    exists=lambda study: study.flow,
    per_flow=True,
    only_with="distractors",
)
