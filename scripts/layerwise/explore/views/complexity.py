"""How complex must a probe be to find it? Scores of all kinds of probes by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    found = given.comparison("complexity")
    # Every cell has logistic regression. Alone it has nothing to be compared with.
    several = found["kind"].ne("logistic").groupby([found[name] for name in ("model", "task", "prompt")])
    found = found[several.transform("any") & (found["layer"] <= found["n_layers"])].reset_index(drop=True)
    return found.assign(line=found["kind"])


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    from layerwise.explore import drawing
    from layerwise.figures.drawing.style import line_styles
    from layerwise.probes.kinds.catalogue import PROBE_KINDS

    # Chosen over all kinds, so that a kind looks the same in every study.
    styles = {kind: style for kind, style in line_styles(PROBE_KINDS).items() if kind in set(rows["kind"])}
    return drawing.line_chart(
        drawing.layer_axis(title=f"{drawing.LAYER};  −1: all layers at once"),
        drawing.score_axis("score", "test score"),
        styles,
        [
            drawing.said("kind", "kind of probe"),
            drawing.said("layer", "layer (−1: all)"),
            drawing.said("score", "test score", ".3f"),
            drawing.said("metric", "metric"),
            drawing.said("selectivity", "above random labels", ".3f"),
            drawing.said("bits", "bits per label", ".3f"),
            drawing.said("uniform_bits", "bits without states", ".3f"),
            drawing.said("chance", "majority baseline", ".3f"),
        ],
        low="score_low",
        high="score_high",
        baseline="chance",
    )


VIEW = View(
    place=60,
    title="How complex must a probe be?",
    reading="A line for each kind of probe, from a difference of class means to a perceptron. If simple ones do as "
    "well, the layer holds it in a simple form.",
    reads=("complexity",),
    exists=lambda study: bool(study.kinds),
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "model"),
    picks={"layer": "layer"},
)
