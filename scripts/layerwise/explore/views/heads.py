"""The head map: what each attention head holds, and whether it is above chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    found = given.comparison("within-blocks")
    return found[found["site"] == "heads"].drop(columns="site").reset_index(drop=True)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing

    base = alt.Chart(drawing.ROWS).transform_calculate(
        above="(datum.value - datum.chance) / (1 - datum.chance)",
        interval=drawing.interval(),
        verdict="datum.above_chance ? 'yes, at 5 %' : 'not shown'",
        chosen="datum.best ? 'yes' : 'no'",
    )
    colour = alt.Color("above:Q", title="0: chance, 1: all right").scale(
        scheme="yellowgreenblue", domain=[0, 1], clamp=True
    )
    return drawing.map_chart(
        base,
        alt.X("head:O", title="attention head").axis(labelAngle=0, labelOverlap=True),
        drawing.blocks_upwards("layer"),
        colour.legend(drawing.gradient()),
        [
            drawing.said("layer", "block"),
            drawing.said("head", "head"),
            drawing.said("value", "test score", ".3f"),
            drawing.INTERVAL,
            drawing.said("chance", "majority baseline", ".3f"),
            drawing.said("verdict", "above chance, corrected over heads"),
            drawing.said("chosen", "best head of its block on validation"),
        ],
        number="format(100 * datum.value, '.0f') + (datum.above_chance ? '' : ' ×')",
        dark="datum.above > 0.5",
        frame="datum.layer === layer",
        height=drawing.height_of(rows, "layer", VIEW.follows),
    )


VIEW = View(
    place=10,
    title="Which heads hold it?",
    reading="Each square is an attention head, blocks from bottom to top. Darker is further above chance. Numbers are "
    "test scores × 100; × says that a head is not shown to be above chance.",
    reads=("within-blocks",),
    exists=lambda study: "heads" in study.sites,
    rows=rows,
    chart=chart,
    picks={"layer": "layer"},
)
