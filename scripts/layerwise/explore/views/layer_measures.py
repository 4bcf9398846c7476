"""What layers are like: norms, outlier dimensions and anisotropy, by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.drawing.likeness import MEASURES

    found = given.comparison("layer-measures")
    found = found[found["layer"] <= found["n_layers"]].reset_index(drop=True)
    # The dimensions that vary most are many, and are in the table.
    dimensions = found["dimensions"].where(found["measure"] != "variance-share", "")
    known = {"measure": [MEASURES[measure][0] for measure in found["measure"]], "which": dimensions}
    return found.drop(columns=["draw_of", "width", "dimensions"]).assign(line=found["model"], **known)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing
    from layerwise.figures.drawing.style import line_styles

    models = rows["model"].unique()
    return drawing.line_chart(
        drawing.layer_axis(),
        alt.Y(field="value", type="quantitative", title="value").scale(type="symlog"),
        line_styles(models, rows.loc[rows["weights"] == "random", "model"].unique()),
        [
            drawing.said("line", "model"),
            drawing.said("layer", "layer"),
            drawing.said("measure", "measure"),
            drawing.said("value", "value", ".4~g"),
            drawing.said("which", "dimensions, from 0"),
            drawing.said("n", "items", "d"),
        ],
        form=".4~g",
    )


VIEW = View(
    place=80,
    title="What are layers like?",
    reading="How long the states of a layer are, how large their largest entries, and whether all items point the same "
    "way. Trained models often have a few very large dimensions; the untrained twin shows what a model has without "
    "training.",
    reads=("layer-measures",),
    exists=lambda study: bool(study.likeness),
    rows=rows,
    chart=chart,
    follows=("prompt", "stimuli", "position", "measure"),
    legend="line",
    picks={"layer": "layer"},
)
