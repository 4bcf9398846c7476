"""Where does the output head name the objects in a picture? Its image tokens, layer by layer, beside two controls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    import pandas as pd

    from layerwise.figures.drawing.patch_lens import LINES, MEASURES

    table = given.comparison("patch-lens")
    table = table[table["layer"] <= table["n_layers"]].reset_index(drop=True)
    kept = ["model", "stimuli", "layer", "n_images", "n_words"]
    found = []
    for column, name in LINES.items():
        ends = {"low": table["low"], "high": table["high"]} if column == "value" else {"low": None, "high": None}
        found.append(table[kept].assign(measure=table["measure"].map(MEASURES), line=name, value=table[column], **ends))
    return pd.concat(found, ignore_index=True).dropna(subset="value")


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.explore import drawing
    from layerwise.figures.drawing.patch_lens import LINES
    from layerwise.figures.drawing.style import line_styles

    return drawing.line_chart(
        drawing.layer_axis(),
        drawing.score_axis("value", "score"),
        line_styles(LINES.values()),
        [
            drawing.said("line", "scored with"),
            drawing.said("layer", "layer"),
            drawing.said("value", "score", ".3f"),
            drawing.said("n_images", "pictures"),
            drawing.said("n_words", "words"),
        ],
    )


VIEW = View(
    place=67,
    title="Where does the output head name objects?",
    reading="The output head at every image token: is the word for an object most probable where the object is? Only "
    "a score above both controls says so.",
    reads=("patch-lens",),
    exists=lambda study: bool(study.lens),
    rows=rows,
    chart=chart,
    follows=("model", "stimuli", "measure"),
    legend="line",
    picks={"layer": "layer"},
)
