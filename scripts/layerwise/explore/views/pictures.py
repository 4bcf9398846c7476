"""What do the tokens of each picture hold, beside the token that other charts read?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.drawing.pictures_by_layer import position_name

    found = given.comparison("picture-positions")
    found = found[found["layer"] <= found["n_layers"]].reset_index(drop=True)
    return found.assign(line=[position_name(position) for position in found["position"]])


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.explore import drawing
    from layerwise.figures.drawing.pictures_by_layer import position_name, position_order
    from layerwise.figures.drawing.style import line_styles

    return drawing.line_chart(
        drawing.layer_axis(),
        drawing.score_axis("value", "test score"),
        line_styles(map(position_name, position_order(rows["position"].unique()))),
        [
            drawing.said("line", "read at"),
            drawing.said("layer", "layer"),
            drawing.said("value", "test score", ".3f"),
            drawing.said("metric", "metric"),
            drawing.said("majority", "majority baseline", ".3f"),
        ],
        baseline="majority",
    )


VIEW = View(
    place=63,
    title="Which picture's tokens hold it?",
    reading="The mean over the tokens of each picture, read by a probe of its own, beside the token that all other "
    "charts read.",
    reads=("picture-positions",),
    exists=lambda study: study.positions,
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "model"),
    picks={"layer": "layer"},
)
