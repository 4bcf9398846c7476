"""How many images does a probe need? Test scores of the best layer by number of training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.explore.models import with_styles

    return with_styles(given.comparison("learning"), given)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing
    from layerwise.explore.models import styles

    return drawing.line_chart(
        alt.X("train_groups:Q", title="training images").scale(type="log", base=2, nice=False).axis(format="d"),
        drawing.score_axis("value", "test score"),
        styles(rows),
        [
            drawing.said("model", "model"),
            drawing.said("train_groups", "training images", "d"),
            drawing.said("layer", "best layer"),
            drawing.said("value", "test score", ".3f"),
        ],
        by="model",
        by_layer=False,
    )


VIEW = View(
    place=61,
    title="How many images does a probe need?",
    reading="Test scores of each model's best layer, by the number of images that its probe was fitted on. A line that "
    "still rises at its end would gain from more images.",
    reads=("learning", "headline", "models"),
    exists=lambda study: study.probes and study.description_length,
    rows=rows,
    chart=chart,
    follows=("task", "prompt"),
    picks={"model": "model", "layer": "layer"},
)
