"""Which attention does the answer need? The answer's probability with the attention between tokens blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


FLOWS = ("question->last", "image->last", "image->question", "last->last")


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow import draw_changes
    from layerwise.figures.names import arrow

    return draw_changes(given, {flow: arrow(flow) for flow in FLOWS})


FIGURE = Figure(
    title="knockout",
    reads=("flow-changes", "description"),
    draw=draw,
    exists=lambda study: study.flow,
    per_flow=True,
)
