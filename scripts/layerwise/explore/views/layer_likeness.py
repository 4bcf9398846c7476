"""How alike are two layers: debiased CKA within a model, with its untrained twin, and between models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given

# A study of many deep models has millions of rows, and a page is a file of some megabytes.
MOST_ROWS = 60_000
MAP = ["stimuli", "prompt", "position", "scaling", "model", "other"]


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.drawing.likeness import SCALING

    found = given.comparison("layer-likeness")
    shown = (found["layer"] <= found["n_layers"]) & (found["other_layer"] <= found["other_n_layers"]) & ~found["draw"]
    found = found[shown].drop(columns=["draw", "other_n_layers", "kind"])
    maps = found.groupby(MAP, sort=False).size().rename("rows").reset_index()
    # As many whole maps as there is room for: those that figures show first, and of each stimulus set some.
    turn = maps.groupby(["scaling", "stimuli"], sort=False).cumcount()
    maps = maps.assign(turn=turn, later=maps["scaling"] != SCALING).sort_values(["later", "turn"], kind="stable")
    maps = maps[(maps["rows"].cumsum() <= MOST_ROWS) | ~maps["stimuli"].duplicated()]
    return maps[MAP].merge(found, on=MAP)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing

    base = alt.Chart(drawing.ROWS).transform_calculate(interval=drawing.interval())
    colour = alt.Color("value:Q", title="debiased CKA").scale(scheme="yellowgreenblue", domain=[0, 1], clamp=True)
    return drawing.map_chart(
        base,
        alt.X("other_layer:O", title="layer of the other").axis(labelAngle=0, labelOverlap=True),
        drawing.blocks_upwards("layer", "layer of the model"),
        colour.legend(drawing.gradient()),
        [
            drawing.said("model", "model"),
            drawing.said("layer", "layer"),
            drawing.said("other", "other"),
            drawing.said("other_layer", "layer of the other"),
            drawing.said("value", "debiased CKA", ".3f"),
            drawing.INTERVAL,
            drawing.said("n", "items", "d"),
        ],
        number="isValid(datum.value) ? format(datum.value, '.2f') : '–'",
        dark="datum.value > 0.5",
        frame="datum.layer === layer",
        height=drawing.height_of(rows, "layer", VIEW.follows),
    )


VIEW = View(
    place=81,
    title="How alike are two layers?",
    reading="Debiased CKA over the same items: 1 is the same geometry, turned and scaled; 0 is nothing in common. "
    "Neighbouring layers of an untrained twin are alike too, because each block only adds to its input.",
    reads=("layer-likeness",),
    exists=lambda study: bool(study.likeness),
    rows=rows,
    chart=chart,
    follows=("prompt", "stimuli", "position", "scaling", "model", "other"),
    picks={"layer": "layer"},
)
