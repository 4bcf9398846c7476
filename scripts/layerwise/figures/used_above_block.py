"""Is an erased concept read again from other tokens? What probes find above the block where it was erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.used import draw_above

    return draw_above(given.comparison("used-above"), variant)


FIGURE = Figure(
    place=23,
    title="Used: what probes find above, {variant}",
    reads=("used-above",),
    draw=draw,
    exists=lambda study: bool(study.used),
    variants=lambda study: dict.fromkeys(study.used, "by block"),
    file="{name}-{variant}",
)
