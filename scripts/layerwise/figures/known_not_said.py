"""Known, not said: for how many items the probe, the model, both or neither are right, by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.compare.readings import SAID, THRESHOLD
from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


# What a variant's name ends in, by how the answer is read.
ENDS = {SAID: "-as-said", THRESHOLD: "-at-threshold"}


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.known_said import draw_known_not_said

    answer = next(answer for answer, end in ENDS.items() if variant.endswith(end))
    return draw_known_not_said(given, variant.removesuffix(ENDS[answer]), answer)


FIGURE = Figure(
    place=5,
    title="Known, not said: {variant}",
    reads=("known-said", "tasks"),
    draw=draw,
    exists=lambda study: bool(study.says),
    variants=lambda study: {f"{model}{end}": "by layer" for model in study.says for end in ENDS.values()},
    file="{name}-{variant}",
)
