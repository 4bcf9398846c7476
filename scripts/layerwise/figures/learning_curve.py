"""Learning curves: the test score of the best layer by number of training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.compare.inputs import as_they_are, with_draws
    from layerwise.figures.drawing.learning import draw_learning

    headline = given.comparison("headline")
    headline, models = as_they_are(headline, with_draws(given.models, headline))
    return draw_learning(given.comparison("learning"), headline, given.tasks, models)


FIGURE = Figure(
    place=13,
    title="Learning curves",
    reads=("learning", "headline", "tasks", "models"),
    draw=draw,
    exists=lambda study: study.probes and study.description_length,
    variants=lambda study: {"": "by images"},
)
