"""What layers are like: norms, outlier dimensions and anisotropy by layer, and maps of how alike layers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.likeness import draw_likeness

    return draw_likeness(given.comparison("layer-measures"), given.comparison("layer-likeness"), variant)


FIGURE = Figure(
    place=27,
    title="What layers are like: {variant}",
    reads=("layer-measures", "layer-likeness"),
    draw=draw,
    exists=lambda study: bool(study.likeness),
    variants=lambda study: dict.fromkeys(study.likeness, "by layer"),
    file="{name}-{variant}",
)
