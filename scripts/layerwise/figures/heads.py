"""Which heads does the answer need? Its change with single heads blocked, as a map of all heads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow_heads import draw_heads

    return draw_heads(given)


FIGURE = Figure(
    title="heads",
    reads=("flow-heads", "flow-strongest-heads", "description"),
    draw=draw,
    exists=lambda study: study.flow_heads,
    per_flow=True,
    only_with="heads",
)
