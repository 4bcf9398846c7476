"""Concepts erased, or steered along: scores by layer beside those of the model as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure
from layerwise.models.interventions.catalogue import INTERVENTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def is_shown(kind: str) -> bool:
    """Whether models with this kind of intervention are in the figure."""
    return INTERVENTIONS[kind].figure == "erased"


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.interventions import draw_erased

    shown = [kind for kind in INTERVENTIONS if is_shown(kind)]
    return draw_erased(given.comparison("headline"), given.tasks, given.models, shown)


FIGURE = Figure(
    place=20,
    title="Concepts erased",
    reads=("headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.probes and any(map(is_shown, study.interventions)),
)
