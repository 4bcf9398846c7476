"""The specification curve of a model and task: effects in order, and the choices behind each of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Contents, Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.specifications import draw_curve

    rows = given.comparison("specifications")
    return draw_curve(rows[rows["model"] + "." + rows["task"] == variant])


def _variants(study: Contents) -> dict[str, str]:
    return {f"{model}.{task}": f"{model}, {task}" for model, task in study.specifications}


FIGURE = Figure(
    place=14,
    title="Specifications",
    reads=("specifications",),
    draw=draw,
    exists=lambda study: bool(study.specifications),
    variants=_variants,
    file="{name}-{variant}",
)
