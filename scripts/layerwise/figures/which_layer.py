"""Which layer knows it, at a glance: a strip of layers for every model, task and prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.strips import draw_strips

    return draw_strips(given.comparison("which-layer"))


FIGURE = Figure(
    place=0,
    title="Which layer knows it?",
    reads=("which-layer",),
    draw=draw,
    exists=lambda study: study.probes,
)
