"""Blocks routed past those above them: the score of the topmost block by the block that is added to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.interventions import draw_bypass

    return draw_bypass(given.comparison("headline"), given.tasks, given.models)


FIGURE = Figure(
    place=18,
    title="Blocks bypassed",
    reads=("headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.probes and "bypass" in study.interventions,
)
