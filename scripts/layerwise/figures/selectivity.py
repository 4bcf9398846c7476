"""Selectivity by layer: how far the scores are above those of random labels (Hewitt and Liang 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure, by_layer_and_depth

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.layers import Quantity, draw_layers

    selectivity = Quantity(
        y_label="test {metric},\nabove random labels",
        baseline="no better than random labels",
        baseline_name="random labels",
        baseline_of=lambda headline, tasks, rows: rows.assign(value=0.0),
        probe="selectivity",
    )
    return draw_layers(given, FIGURE.question, axis=variant, facets="prompt", lines="model", quantity=selectivity)


FIGURE = Figure(
    place=11,
    title="Selectivity",
    reads=("headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.probes and study.random_labels,
    variants=by_layer_and_depth,
    file="{name}-by-{variant}",
)
