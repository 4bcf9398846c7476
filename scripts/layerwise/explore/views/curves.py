"""The curves: test scores by layer of all models, for one task, prompt and metric."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    scores = given.comparison("headline")
    return scores[scores["probe"] == "logistic"].drop(columns=["draws", "made_from"]).reset_index(drop=True)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    return (
        alt.Chart(alt.NamedData("rows"))
        .mark_line(point=True)
        .encode(x="layer:Q", y=alt.Y("value:Q").scale(zero=False), color="model:N")
    )


VIEW = View(
    place=0,
    title="Which layer knows it?",
    reading="Each line is a model. Higher is better.",
    reads=("headline",),
    exists=lambda study: study.probes,
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "label", "metric", "split"),
    picks={"model": "model", "layer": "layer"},
)
