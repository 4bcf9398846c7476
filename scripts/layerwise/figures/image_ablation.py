"""The image hidden from some blocks: scores by layer beside those of the model as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure
from layerwise.models.interventions.catalogue import INTERVENTIONS

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def is_shown(kind: str) -> bool:
    """Whether models with this kind of intervention are in the figure."""
    return INTERVENTIONS[kind].figure == "image-ablation"


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.interventions import draw_ablation

    shown = [kind for kind in INTERVENTIONS if is_shown(kind)]
    return draw_ablation(given.comparison("headline"), given.tasks, given.models, given.prompts, shown)


FIGURE = Figure(
    place=17,
    title="Image hidden",
    reads=("headline", "tasks", "models", "prompts"),
    draw=draw,
    exists=lambda study: study.probes and any(map(is_shown, study.interventions)),
)
