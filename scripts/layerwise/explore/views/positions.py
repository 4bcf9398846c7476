"""At which token does it sit, in which layer?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.drawing.positions import position_name

    found = given.comparison("positions-by-layer")
    found = found[found["layer"] <= found["n_layers"]].reset_index(drop=True)
    return found.assign(read_at=[position_name(position) for position in found["position"]])


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing

    base = alt.Chart(drawing.ROWS).transform_calculate(
        above="(datum.value - datum.majority) / (1 - datum.majority)",
        interval=drawing.interval(),
        chosen="datum.best ? 'yes' : 'no'",
    )
    colour = alt.Color("above:Q", title="0: majority, 1: all right").scale(
        scheme="yellowgreenblue", domain=[0, 1], clamp=True
    )
    return drawing.map_chart(
        base,
        alt.X("layer:O", title=drawing.LAYER).axis(labelAngle=0, labelOverlap=True),
        alt.Y("read_at:N", title=None, sort=None).axis(labelLimit=180),
        colour.legend(drawing.gradient()),
        [
            drawing.said("read_at", "read at"),
            drawing.said("layer", "layer"),
            drawing.said("value", "test score", ".3f"),
            drawing.INTERVAL,
            drawing.said("metric", "metric"),
            drawing.said("majority", "majority baseline", ".3f"),
            drawing.said("n", "test items", "d"),
            drawing.said("lacking", "items without this position", "d"),
            drawing.said("chosen", "best on validation"),
        ],
        number="format(100 * datum.value, '.0f') + (datum.best ? ' ★' : '')",
        dark="datum.above > 0.5",
        frame="datum.layer === layer",
        height=drawing.height_of(rows, "read_at", VIEW.follows),
    )


VIEW = View(
    place=64,
    title="At which token does it sit?",
    reading="A row for each position in the text, a box for each layer. Darker is further above the majority baseline. "
    "Numbers are test scores × 100; ★ is best on validation.",
    reads=("positions-by-layer",),
    exists=lambda study: study.task_positions,
    rows=rows,
    chart=chart,
    picks={"layer": "layer"},
)
