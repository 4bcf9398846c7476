"""Where does the answer appear? The probability of its first token by layer (logit lens)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.figures.entry import Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from layerwise.compare.inputs import Given


# Whether the final norm comes first, and how the answer is written.
LINES = {
    (True, "lower"): "lower case",
    (True, "capitalised"): "capitalised",
    (False, "lower"): "lower case, without final norm",
    (False, "capitalised"): "capitalised, without final norm",
}


def draw(given: Given, variant: str) -> Drawing:
    from layerwise.figures.drawing.flow import draw_tracing

    return draw_tracing(given, LINES)


FIGURE = Figure(
    title="tracing",
    reads=("flow-tracing", "description"),
    draw=draw,
    exists=lambda study: study.flow,
    per_flow=True,
)
