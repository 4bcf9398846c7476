"""The curves: scores by layer of all models, for one task, prompt and metric, beside what they are compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given
    from layerwise.figures.entry import Contents


def reads(study: Contents) -> tuple[str, ...]:
    from layerwise.explore.scores_by_layer import read

    return read(study)


def rows(given: Given) -> pd.DataFrame:
    from layerwise.explore.models import with_styles
    from layerwise.explore.scores_by_layer import scores_by_layer

    return with_styles(scores_by_layer(given), given)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore.drawing import CHOSEN, FAINT, ROWS, SHAPES, interval, themed
    from layerwise.explore.models import styles
    from layerwise.explore.scores_by_layer import DASHES, MAJORITY, PROBE, WHAT

    looks = styles(rows)
    colours = [themed(look.colour) for look in looks.values()]
    colour = alt.Color("model:N").scale(domain=list(looks), range=colours).legend(None)
    markers = [SHAPES[look.marker] for look in looks.values()]
    shape = alt.Shape("model:N").scale(domain=list(looks), range=markers).legend(None)
    dash = alt.StrokeDash("what:N").scale(domain=list(DASHES), range=list(DASHES.values())).legend(None)
    x = alt.X("x:Q").scale(nice=False).axis(title=None, tickMinStep=alt.expr("axis == 'depth' ? 0.1 : 1"))
    y = alt.Y("value:Q").scale(zero=False).axis(title=None)
    chosen = "datum.model == model"
    told = [
        alt.Tooltip("model:N"),
        alt.Tooltip("name:N", title="shows"),
        alt.Tooltip("layer:Q"),
        alt.Tooltip("value:Q", format=".4f"),
        alt.Tooltip("interval:N", title="95 % interval"),
        alt.Tooltip("n:Q", title="items"),
        alt.Tooltip("n_groups:Q", title="images"),
        alt.Tooltip("C:Q", format=".3g", title="C, or penalty"),
    ]
    given = (
        alt.Chart(ROWS)
        .transform_calculate(
            x="axis == 'depth' ? datum.layer / datum.n_layers : datum.layer",
            name=f"({WHAT})[datum.what]",
            interval=interval(form=".4f"),
        )
        .encode(color=colour)
    )
    layers = given.transform_filter("datum.layer >= 0")
    # The output of the final norm is no block: a mark of its own, not joined to the line.
    blocks, norm = (layers.transform_filter(f"datum.layer {than} datum.n_layers") for than in ("<=", ">"))
    band = blocks.mark_area(opacity=0.15).encode(x=x, y=alt.Y("low:Q"), y2="high:Q", detail="what:N")
    # The size of a line is its width: Vega-Lite takes no strokeWidth here.
    line = blocks.mark_line().encode(
        x=x, y=y, strokeDash=dash, size=alt.when(chosen).then(alt.value(2.6)).otherwise(alt.value(1.4))
    )
    bars = norm.mark_rule().encode(x=x, y=alt.Y("low:Q"), y2="high:Q")
    dots = layers.mark_point(filled=True, size=36, opacity=1, cursor="pointer").encode(
        x=x, y=y, shape=shape, tooltip=told
    )
    # Anywhere above a layer is a place to click.
    places = (
        layers.transform_aggregate(n="count()", groupby=["x", "layer"])
        .mark_rule(opacity=0, strokeWidth=12, cursor="pointer")
        .encode(x=x, color=alt.value("transparent"))
    )
    at_layer = (
        layers.transform_filter(f"datum.layer == layer && datum.what == '{PROBE}' && {chosen}")
        .transform_aggregate(n="count()", groupby=["x"])
        .mark_rule(strokeWidth=1.5, strokeDash=[2, 2])
        .encode(x=x, color=alt.value(CHOSEN))
    )
    # What has no layer: the majority, and a probe that reads all layers.
    level = given.transform_filter("datum.layer < 0").mark_rule(strokeWidth=1.5)
    majority = level.transform_filter(f"datum.what == '{MAJORITY}'").encode(
        y=y, strokeDash=dash, color=alt.value(FAINT), tooltip=told
    )
    all_layers = level.transform_filter(f"datum.what != '{MAJORITY}'").encode(y=y, strokeDash=dash, tooltip=told)
    y_title = alt.Chart(ROWS).transform_aggregate(n="count()")
    titles = (
        y_title.mark_text(align="left", fontSize=12, x=0, y=-10, text=alt.expr("split_name + ' ' + metric_name")),
        y_title.mark_text(
            align="right",
            fontSize=12,
            x=alt.expr("width"),
            y=alt.expr("height + 32"),
            text=alt.expr("axis == 'depth' ? 'layer / number of blocks' : 'layer (0 = embeddings)'"),
        ),
    )
    params = [alt.param(name=name, value="") for name in ("model", "axis", "split_name", "metric_name")]
    params.append(alt.param(name="layer", value=0))
    drawn = alt.layer(band, places, majority, all_layers, at_layer, line, bars, dots, *titles)
    return drawn.add_params(*params).properties(height=340, padding={"left": 5, "right": 5, "top": 24, "bottom": 5})


VIEW = View(
    place=0,
    title="Scores by layer",
    reading="Each colour is a model, which its button shows or hides; each dash is another of the lines ticked above. "
    "Bands are 95 % intervals over images. The mark to the right of a line is the output of the final norm. The "
    "vertical line is the chosen layer: click another to choose it for the whole page.",
    reads=(),
    reads_too=reads,
    exists=lambda study: study.probes or study.numbers,
    rows=rows,
    chart=chart,
    follows=("task", "prompt", "label", "metric", "split", "position", "kind", "what"),
    picks={"model": "model", "layer": "layer"},
    legend="model",
)
