"""What the charts of information flow have in common: their rows, and lines by window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given
    from layerwise.explore.drawing import Drawn
    from layerwise.figures.drawing.style import LineStyle

FOLLOWS = ("model", "questions", "type")
CHANGE = "change in the answer's probability (%)"


def of_flows(given: Given, comparison: str, shows: Callable[[str], bool], names: Mapping[str, str]) -> pd.DataFrame:
    """The rows of some flows, of all models and sets of questions, with the flow's name as ``line``.

    Args:
        given: the comparison's tables.
        comparison: its name.
        shows: tells by a flow's name whether it is shown.
        names: of flows that are not called what they are written as.
    """
    from layerwise.figures.names import arrow

    found = given.flow_comparison(comparison)
    found = found[found["flow"].map(shows).astype(bool)].reset_index(drop=True)
    return found.assign(line=[names.get(flow) or arrow(flow) for flow in found["flow"]])


def by_place(rows: pd.DataFrame) -> dict[str, LineStyle]:
    """A style for each line by its place among those of the rows."""
    from layerwise.figures.drawing.style import line_styles

    return line_styles(rows["line"].unique())


def by_window(
    rows: pd.DataFrame, styles: Mapping[str, LineStyle], y_title: str = CHANGE, form: str = ".1f", free: bool = False
) -> Drawn:
    """A line for each flow: the mean change by window.

    Args:
        rows: see :func:`of_flows`.
        styles: of the lines.
        y_title: what changes.
        form: of its numbers.
        free: whether the rows say what it was with nothing blocked.
    """
    from layerwise.explore import drawing

    tooltip = [
        drawing.said("line", "blocked"),
        drawing.said("window", "block at the centre of the window"),
        drawing.said("mean", "mean change", form),
        *([drawing.said("free", "with nothing blocked", form)] if free else []),
        drawing.said("n", "questions", "d"),
        drawing.said("n_images", "images", "d"),
        drawing.said("type", "type of question"),
        drawing.said("model", "model"),
        drawing.said("questions", "set of questions"),
    ]
    x = drawing.layer_axis("window", "block at the centre of the window that is blocked")
    y = drawing.score_axis("mean", y_title)
    return drawing.line_chart(x, y, styles, tooltip, below=[drawing.no_change()], form=form)
