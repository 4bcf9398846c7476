"""What carried probes lose against the own probe of the states that they read, by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.carried import draw_losses

    return draw_losses(given.comparison("carried"), given.tasks, given.models, variant)


FIGURE = Figure(
    place=7,
    title="Loss of carried probes: {variant}",
    reads=("carried", "tasks", "models"),
    draw=draw,
    exists=lambda study: bool(study.carried),
    variants=lambda study: dict.fromkeys(study.carried, "by layer"),
    file="{name}-{variant}",
)
