"""Does it hold for all items? Scores on parts of the test items: by their texts, and by what the text alone says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    found = given.comparison("test-parts")
    return found[found["layer"] <= found["n_layers"]].reset_index(drop=True)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.explore import drawing
    from layerwise.figures.drawing.test_parts import STYLES

    return drawing.line_chart(
        drawing.layer_axis(),
        drawing.score_axis("value", "test score"),
        {part: style for part, style in STYLES.items() if part in set(rows["part"])},
        [
            drawing.said("part", "test items"),
            drawing.said("layer", "layer"),
            drawing.said("value", "test score", ".3f"),
            drawing.said("metric", "metric"),
            drawing.said("text_only", "without the image", ".3f"),
            drawing.said("majority", "majority baseline", ".3f"),
            drawing.said("n", "items", "d"),
            drawing.said("n_groups", "groups of items", "d"),
            drawing.said("n_texts", "texts", "d"),
        ],
        by="part",
        dashed="text_only",
    )


VIEW = View(
    place=62,
    title="Does it hold for all items?",
    reading="The same probes, scored on parts of the test items: texts that were seen in training or not, and items "
    "that the text alone gets right or wrong. Thin dashes: the same items without the image.",
    reads=("test-parts",),
    exists=lambda study: bool(study.parts),
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "model", "label"),
    picks={"layer": "layer"},
)
