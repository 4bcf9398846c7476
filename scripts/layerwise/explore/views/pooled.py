"""Do some image tokens hold what a label needs? A probe that chooses tokens beside one of their mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given

SCORE, PLACE = "test score", "looks at its object"


def rows(given: Given) -> pd.DataFrame:
    import pandas as pd

    from layerwise.figures.drawing.pooled import MEASURE, PLACES, POOLINGS

    scores, places = given.comparison("pooled-differences"), given.comparison("pooled-places")
    places = places[places["measure"] == MEASURE]
    kept = ["model", "task", "layer", "layer_name"]
    found = []
    for column, name in POOLINGS.items():
        ends = {"low": scores[f"{column}_low"], "high": scores[f"{column}_high"], "level": scores["majority"]}
        found.append(scores[[*kept, "n"]].assign(measure=SCORE, line=name, value=scores[column], **ends))
    for column, name in PLACES.items():
        ends = {end: places[end] if column == "value" else None for end in ("low", "high")}
        found.append(places[[*kept, "n"]].assign(measure=PLACE, line=name, value=places[column], **ends))
    table = pd.concat([one for one in found if len(one)], ignore_index=True).dropna(subset="value")
    blocks = pd.concat([scores, places])[["model", "task", "n_layers"]].drop_duplicates()
    table = table.merge(blocks, on=["model", "task"])
    return table[table["layer"] <= table["n_layers"]].drop(columns="n_layers").reset_index(drop=True)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.explore import drawing
    from layerwise.figures.drawing.pooled import PLACES, POOLINGS
    from layerwise.figures.drawing.style import line_styles

    return drawing.line_chart(
        drawing.layer_axis(),
        drawing.score_axis("value", "score"),
        line_styles([*POOLINGS.values(), *PLACES.values()]),
        [
            drawing.said("line", "line"),
            drawing.said("layer", "layer"),
            drawing.said("value", "score", ".3f"),
            drawing.said("n", "items, or pairs of a picture and a word"),
        ],
        baseline="level",
    )


VIEW = View(
    place=68,
    title="Do some image tokens hold it?",
    reading="A probe whose query chooses among the image tokens, beside one of their mean: where it is higher, some "
    "tokens hold what the mean loses. The measure is the test score, or how often the token that the query looks at "
    "most is in a box of its object: compare that with both controls, and with the untrained twin.",
    reads=("pooled-differences", "pooled-places"),
    exists=lambda study: study.pooled,
    rows=rows,
    chart=chart,
    follows=("task", "model", "measure"),
    legend="line",
    picks={"layer": "layer"},
)
