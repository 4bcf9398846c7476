"""Is it used? What erasing or steering a concept does to the answer, block by block, against random directions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given

# What a variant's name ends in.
SHOWN = ERASE, STEER, SHARES = "erase", "steer", "shares"


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.used import draw_erased, draw_shares, draw_steered

    model, _, what = variant.rpartition("-")
    used = given.comparison("used")
    if what == STEER:
        return draw_steered(used, model)
    if what == SHARES:
        return draw_shares(used, model)
    return draw_erased(used, given.comparison("used-across"), model)


FIGURE = Figure(
    place=21,
    title="Used: {variant}",
    reads=("used", "used-across"),
    draw=draw,
    exists=lambda study: bool(study.used),
    variants=lambda study: {f"{model}-{what}": "by block" for model in study.used for what in SHOWN},
    file="{name}-{variant}",
)
