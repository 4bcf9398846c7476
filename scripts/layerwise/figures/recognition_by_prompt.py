"""Figure 3: the scores of Figure 2 by prompt, with and without a cue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure, by_layer_and_depth

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.layers import draw_layers

    return draw_layers(given, FIGURE.question, axis=variant, facets="model", lines="prompt")


FIGURE = Figure(
    place=3,
    title="Recognition by prompt",
    reads=("headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: "local" in study.questions,
    variants=by_layer_and_depth,
    file="{name}-by-{variant}",
    question="local",
)
