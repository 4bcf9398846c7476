"""Which heads does the choice between two answers need? The logit difference with single heads blocked, as a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow_heads import draw_head_differences

    return draw_head_differences(given)


FIGURE = Figure(
    title="heads-logit-difference",
    reads=("flow-head-differences", "flow-strongest-head-differences", "description"),
    draw=draw,
    exists=lambda study: study.flow_heads,
    per_flow=True,
    only_with="head differences",
)
