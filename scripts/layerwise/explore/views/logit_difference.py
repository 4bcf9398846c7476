"""Which attention does the choice between two answers need? How far the right one's logit is above the wrong one's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View
from layerwise.explore.flow import FOLLOWS, by_place, by_window, of_flows

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    return of_flows(given, "flow-differences", lambda flow: True, {})


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    return by_window(rows, by_place(rows), "change in the logit difference", ".2f", free=True)


VIEW = View(
    place=24,
    title="Which attention does the choice between two answers need?",
    reading="How far the right answer's logit is above the wrong one's, with attention blocked in a window of blocks. "
    "Lower means that the choice needs it there. What makes both answers more probable leaves it as it is.",
    reads=("flow-differences",),
    exists=lambda study: study.flow and any("distractors" in had for had in study.question_sets.values()),
    rows=rows,
    chart=chart,
    follows=FOLLOWS,
    picks={"window": "layer"},
)
