"""Which attention does the answer need? The answer's probability with the attention between tokens blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View
from layerwise.explore.flow import FOLLOWS, by_window, of_flows

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.knockout import FLOWS

    return of_flows(given, "flow-changes", FLOWS.__contains__, {})


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.figures.drawing.style import line_styles
    from layerwise.figures.knockout import FLOWS
    from layerwise.figures.names import arrow

    return by_window(rows, line_styles(map(arrow, FLOWS)))


VIEW = View(
    place=20,
    title="Which attention does the answer need?",
    reading="In a window of blocks the attention between some tokens is blocked. Lower means that the answer needs it "
    "there: image → question is what the question's tokens read from the image.",
    reads=("flow-changes",),
    exists=lambda study: study.flow,
    rows=rows,
    chart=chart,
    follows=FOLLOWS,
    picks={"window": "layer"},
)
