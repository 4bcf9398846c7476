"""Where does the answer appear? The probability of its first token by layer (logit lens)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View
from layerwise.explore.flow import FOLLOWS

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.tracing import LINES

    found = given.flow_comparison("flow-tracing")
    return found.assign(line=[LINES[key] for key in zip(found["norm"].astype(bool), found["casing"], strict=True)])


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from dataclasses import replace

    from layerwise.explore import drawing
    from layerwise.figures.drawing.flow import tracing_styles
    from layerwise.figures.drawing.style import MARKERS
    from layerwise.figures.tracing import LINES

    # A marker of its own for each line: legends show no dashes.
    found = zip(tracing_styles(LINES).items(), MARKERS, strict=False)
    styles = {LINES[key]: replace(style, marker=marker) for (key, style), marker in found}
    return drawing.line_chart(
        drawing.layer_axis(),
        drawing.score_axis("mean", "probability of the answer's first token"),
        styles,
        [
            drawing.said("line", "answer"),
            drawing.said("layer", "layer"),
            drawing.said("mean", "mean probability", ".3f"),
            drawing.said("n", "questions", "d"),
            drawing.said("n_images", "images", "d"),
            drawing.said("type", "type of question"),
            drawing.said("model", "model"),
            drawing.said("questions", "set of questions"),
        ],
    )


VIEW = View(
    place=25,
    title="Where does the answer appear?",
    reading="What the model would answer if a layer were its last: the probability of the right answer's first token.",
    reads=("flow-tracing",),
    exists=lambda study: study.flow,
    rows=rows,
    chart=chart,
    follows=FOLLOWS,
    picks={"layer": "layer"},
)
