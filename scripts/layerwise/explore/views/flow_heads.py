"""Which heads does the answer need? Its probability with attention blocked in one head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View
from layerwise.explore.flow import FOLLOWS

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.names import arrow

    found = given.flow_comparison("flow-heads")
    found = found[found["layer"] > 0].drop(columns="group").reset_index(drop=True)
    return found.assign(blocked=found["flow"].map(arrow))


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing

    # Flows differ by far more than heads: on one scale the weaker map would be pale.
    base = (
        alt.Chart(drawing.ROWS)
        .transform_calculate(size="abs(datum.mean)", interval=drawing.interval(form=".1f"))
        .transform_joinaggregate(most="max(size)")
        .transform_calculate(share="datum.most > 0 ? datum.mean / datum.most : 0")
    )
    colour = alt.Color("share:Q", title="share of the greatest change").scale(
        scheme="redblue", reverse=True, domain=[-1, 1]
    )
    return drawing.map_chart(
        base,
        alt.X("head:O", title="attention head that is blocked").axis(labelAngle=0, labelOverlap=True),
        drawing.blocks_upwards("layer"),
        colour.legend(drawing.gradient()),
        [
            drawing.said("layer", "block"),
            drawing.said("head", "head"),
            drawing.said("blocked", "blocked"),
            drawing.said("mean", "mean change of the probability (%)", ".1f"),
            drawing.INTERVAL,
            drawing.said("n", "questions", "d"),
            drawing.said("n_images", "images", "d"),
            drawing.said("type", "type of question"),
        ],
        number="format(datum.mean, '.1f')",
        dark="abs(datum.share) > 0.65",
        frame="datum.layer === layer",
        height=drawing.height_of(rows, "layer", VIEW.follows),
    )


VIEW = View(
    place=26,
    title="Which heads does the answer need?",
    reading="Each square is an attention head in which a flow is blocked. Blue: the answer becomes less probable; red: "
    "more probable. Numbers are changes in percent.",
    reads=("flow-heads",),
    exists=lambda study: study.flow_heads,
    rows=rows,
    chart=chart,
    follows=(*FOLLOWS, "blocked"),
    picks={"layer": "layer"},
)
