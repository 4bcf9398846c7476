"""How well kept probes read other prompts, tasks and versions of a model: maps of two layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.carried import draw_matrix

    return draw_matrix(given.comparison("carried"), given.scores, given.tasks, given.models, variant)


FIGURE = Figure(
    place=6,
    title="Probes carried elsewhere: {variant}",
    # Not the headline scores: there, several draws of random weights are one model.
    reads=("carried", "scores", "tasks", "models"),
    draw=draw,
    exists=lambda study: bool(study.sources),
    # A version that only the model's probes read is a column of the model's own map.
    variants=lambda study: dict.fromkeys(study.sources, "by target"),
    file="{name}-{variant}",
)
