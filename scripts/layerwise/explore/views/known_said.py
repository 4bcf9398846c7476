"""Known, not said: for how many items the probe, the model, both or neither are right, by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    found = given.comparison("known-said")
    return found[found["layer"] <= found["n_layers"]].reset_index(drop=True)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing
    from layerwise.figures.drawing.known_said import COLOURS

    names = list(COLOURS)
    base = alt.Chart(drawing.ROWS).transform_calculate(
        interval=drawing.interval(form=".1%"), place=f"indexof({names}, datum.share)"
    )
    x = alt.X("layer:O", title=drawing.LAYER).axis(labelAngle=0, labelOverlap=True)
    colour = alt.Color("share:N", legend=None, sort=names).scale(domain=names, range=list(COLOURS.values()))
    bars = base.mark_bar(stroke=drawing.EDGE, strokeWidth=0.5).encode(
        x=x,
        y=alt.Y("value:Q", title="share of test items").axis(format="%").scale(domain=[0, 1]),
        color=colour,
        order="place:Q",
        tooltip=[
            drawing.said("share", "items"),
            drawing.said("layer", "layer of the probe"),
            drawing.said("value", "share", ".1%"),
            drawing.INTERVAL,
            drawing.said("independent", "if independent", ".1%"),
            drawing.said("phi", "correlation of known and said", ".2f"),
            drawing.said("label", "label"),
            drawing.said("answer", "answer read"),
            drawing.said("n", "items of the test", "d"),
            drawing.said("n_groups", "groups of items", "d"),
        ],
    )
    both = base.transform_filter(f"datum.share === '{names[0]}'")
    if_independent = both.mark_tick(thickness=2, color="#222222").encode(x=x, y="independent:Q")
    chosen = both.transform_filter("datum.layer === layer").mark_bar(
        fillOpacity=0, stroke=drawing.CHOSEN, strokeWidth=2
    )
    layers = (
        bars.properties(name=drawing.MARKS),
        if_independent,
        chosen.properties(name=drawing.IS_CHOSEN).encode(x=x, y=alt.datum(1)),
    )
    return drawing.with_layer(alt.layer(*layers).properties(width="container", height=260))


VIEW = View(
    place=50,
    title="Known, but not said?",
    reading="Of the test items, how many a layer's probe has right (known), and how many the model's own answer "
    "(said). The dark tick is where the lowest part would end if one told nothing of the other.",
    reads=("known-said",),
    exists=lambda study: bool(study.says),
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "model", "label", "answer"),
    legend="share",
    picks={"layer": "layer"},
)
