"""Which part of the image does the question look at? Its patches of the object blocked, or all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View
from layerwise.explore.flow import FOLLOWS, by_window, of_flows

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.objects import LINES

    return of_flows(given, "flow-changes", LINES.__contains__, LINES)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.figures.drawing.style import line_styles
    from layerwise.figures.objects import LINES

    return by_window(rows, line_styles(LINES.values()))


VIEW = View(
    place=21,
    title="Which part of the image does the question look at?",
    reading="Either the patches that show the object in question are hidden from the question, or all others. Lower "
    "means that the answer needs them there.",
    reads=("flow-changes",),
    exists=lambda study: study.flow and any("boxes" in had for had in study.question_sets.values()),
    rows=rows,
    chart=chart,
    follows=FOLLOWS,
    picks={"window": "layer"},
)
