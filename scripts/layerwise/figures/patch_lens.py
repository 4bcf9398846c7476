"""How well the output head, read at image tokens, finds the objects that it names, by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.patch_lens import draw_localisation

    return draw_localisation(given.comparison("patch-lens"), given.models)


FIGURE = Figure(
    place=30,
    title="Where the output head names objects",
    reads=("patch-lens", "models"),
    draw=draw,
    exists=lambda study: bool(study.lens),
)
