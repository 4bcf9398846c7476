"""Figure 1: does the text agree with the image? Test score by layer of the tasks that ask a global question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure, by_layer_and_depth

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.layers import draw_layers

    shortcuts = given.comparison("shortcuts") if given.files.get("shortcuts") else None
    return draw_layers(given, FIGURE.question, axis=variant, facets="prompt", lines="model", shortcuts=shortcuts)


FIGURE = Figure(
    place=1,
    title="Agreement",
    reads=("headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: "global" in study.questions,
    variants=by_layer_and_depth,
    file="{name}-by-{variant}",
    question="global",
    reads_too=lambda study: ("shortcuts",) if study.shortcuts else (),
)
