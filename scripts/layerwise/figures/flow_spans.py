"""Which words of the question does the answer need, and what do they need of the image? Single spans blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow import draw_by_flow

    return draw_by_flow(given, lambda flow: "span:" in flow)


FIGURE = Figure(
    title="spans",
    reads=("flow-changes", "description"),
    draw=draw,
    exists=lambda study: study.flow,
    per_flow=True,
    only_with="spans",
)
