"""Scores on parts of the test items by layer: seen and unseen texts, and what the text alone has wrong or right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.test_parts import draw_test_parts

    return draw_test_parts(given.comparison("test-parts"), given.tasks[variant])


FIGURE = Figure(
    place=24,
    title="Parts of the test items: {variant}",
    reads=("test-parts", "tasks"),
    draw=draw,
    exists=lambda study: bool(study.parts),
    variants=lambda study: dict.fromkeys(study.parts, "by layer"),
    file="{name}-{variant}",
)
