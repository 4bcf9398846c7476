"""The training curve of a model that the workflow trains itself: held-out accuracy and loss over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.training import draw_training, read_curve

    return draw_training(read_curve(given.path("training")))


FIGURE = Figure(
    place=19,
    title="Training of {variant}",
    reads=("training",),
    draw=draw,
    exists=lambda study: bool(study.embedded),
    variants=lambda study: dict.fromkeys(study.embedded, "by seconds"),
    file="{name}-{variant}",
)
