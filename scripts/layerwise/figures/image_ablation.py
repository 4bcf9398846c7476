"""The image hidden from some blocks: scores by layer beside those of the model as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


KINDS = ("ablate-image", "cut-image")


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.interventions import draw_ablation

    return draw_ablation(given.comparison("headline"), given.tasks, given.models, given.prompts, KINDS)


FIGURE = Figure(
    place=8,
    title="Image hidden",
    reads=("headline", "tasks", "models", "prompts"),
    draw=draw,
    exists=lambda study: study.probes and not study.interventions.isdisjoint(KINDS),
)
