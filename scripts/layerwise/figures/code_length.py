"""Description length by layer: bits per label in an online code (Voita and Titov 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure, by_layer_and_depth

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.compare.rows import CODE_BITS, uniform_code
    from layerwise.figures.drawing.layers import Quantity, draw_layers

    code_length = Quantity(
        y_label="code length\n(bits per label)",
        baseline="uniform code",
        baseline_name="uniform",
        baseline_of=lambda headline, tasks, rows: uniform_code(rows, tasks),
        split="train",
        metric=CODE_BITS,
        less_is_more=True,
    )
    return draw_layers(given, FIGURE.question, axis=variant, facets="prompt", lines="model", quantity=code_length)


FIGURE = Figure(
    place=12,
    title="Description length",
    reads=("headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.probes and study.description_length,
    variants=by_layer_and_depth,
    file="{name}-by-{variant}",
)
