"""How complex a probe must be: scores of all kinds of probes by layer, and against the bits that a label takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.complexity import draw_complexity

    return draw_complexity(given.comparison("complexity"), given.comparison("layer-weights"), given.tasks, variant)


FIGURE = Figure(
    place=8,
    title="How complex a probe must be: {variant}",
    reads=("complexity", "layer-weights", "tasks"),
    draw=draw,
    exists=lambda study: bool(study.kinds),
    variants=lambda study: dict.fromkeys(study.kinds, "by layer, and by bits"),
    file="{name}-{variant}",
)
