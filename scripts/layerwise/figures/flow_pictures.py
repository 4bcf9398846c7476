"""Which picture do question and answer look at, and do pictures look at each other? Single pictures blocked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given

PICTURE = re.compile(r"image [0-9]")


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow import draw_by_flow

    return draw_by_flow(given, lambda flow: PICTURE.search(flow) is not None)


FIGURE = Figure(
    title="pictures",
    reads=("flow-changes", "description"),
    draw=draw,
    exists=lambda study: study.flow,
    per_flow=True,
    only_with="pictures",
)
