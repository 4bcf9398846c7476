"""R² of ridge regression by layer, for the tasks about numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure, by_layer_and_depth

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.compare.rows import headline_scores
    from layerwise.figures.drawing.layers import Quantity, draw_scores

    explained = Quantity(
        y_label="test {metric}",
        baseline="always the training mean",
        baseline_name="training mean",
        # As it is written: a value just below 0 would be written as -0.00.
        baseline_of=lambda headline, tasks, rows: headline_scores(headline, tasks, "test", "mean").assign(
            value=lambda mean: mean["value"].round(2) + 0.0
        ),
        probe="ridge",
    )
    headline = given.comparison("number-headline")
    return draw_scores(headline, given.number_tasks, given.models, variant, "prompt", "model", explained)


FIGURE = Figure(
    place=9,
    title="Numbers",
    reads=("number-headline", "number-tasks", "models"),
    draw=draw,
    exists=lambda study: study.numbers,
    variants=by_layer_and_depth,
    file="{name}-by-{variant}",
)
