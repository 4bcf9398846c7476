"""Known and said: the probe's score in each layer, and that of the model's own answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.known_said import draw_known_and_said

    return draw_known_and_said(given, variant)


FIGURE = Figure(
    place=4,
    title="Known and said: {variant}",
    reads=("headline", "said", "tasks"),
    draw=draw,
    exists=lambda study: bool(study.says or study.writes),
    variants=lambda study: dict.fromkeys((*study.says, *study.writes), "by layer"),
    file="{name}-{variant}",
)
