"""Which words of the question does the answer need, and what do they need of the image? Single spans blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View
from layerwise.explore.flow import FOLLOWS, by_place, by_window, of_flows

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    return of_flows(given, "flow-changes", lambda flow: "span:" in flow, {})


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    return by_window(rows, by_place(rows))


VIEW = View(
    place=23,
    title="Which words does the answer need?",
    reading="Attention to single words of the question, or from the image to them, is blocked in a window of blocks. "
    "Lower means that the answer needs it there.",
    reads=("flow-changes",),
    exists=lambda study: study.flow and any("spans" in had for had in study.question_sets.values()),
    rows=rows,
    chart=chart,
    follows=FOLLOWS,
    picks={"window": "layer"},
)
