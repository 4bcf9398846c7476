"""Which picture do question and answer look at, and do pictures look at each other? Single pictures blocked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View
from layerwise.explore.flow import FOLLOWS, by_place, by_window, of_flows

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.flow_pictures import PICTURE

    return of_flows(given, "flow-changes", lambda flow: PICTURE.search(flow) is not None, {})


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    return by_window(rows, by_place(rows))


VIEW = View(
    place=22,
    title="Which picture does it look at?",
    reading="Single pictures are hidden from the question, from the answer or from each other, in a window of blocks. "
    "Lower means that the answer needs them there.",
    reads=("flow-changes",),
    exists=lambda study: study.flow and any("pictures" in had for had in study.question_sets.values()),
    rows=rows,
    chart=chart,
    follows=FOLLOWS,
    picks={"window": "layer"},
)
