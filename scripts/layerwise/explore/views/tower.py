"""Where between the pixels and the last block is it: vision tower, projector and decoder on one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    from layerwise.figures.drawing.tower import with_lines

    found = with_lines(given.comparison("tower"))
    n_tower = found["n_tower"]
    of_decoder, of_projector = found["part"] == "decoder", found["part"] == "projector"
    named = "vision block " + found["depth"].astype(str)
    named = named.mask(found["depth"] == 0, "patch embeddings").mask(of_projector, "projector's output")
    named = named.mask(of_decoder, "decoder block " + found["depth"].astype(str))
    # Two borders: in front of the projector and behind it.
    # What the projector gives is the decoder's layer 0.
    layer = found["depth"].where(of_decoder).mask(of_projector, 0)
    return found.assign(layer_name=named, layer=layer, before=n_tower + 0.5, behind=n_tower + 1.5)


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing
    from layerwise.figures.drawing.style import line_styles
    from layerwise.figures.drawing.tower import line_order

    x = drawing.layer_axis("place", "vision block (0 = patches) | projector | decoder block")
    borders = [
        alt.Chart(drawing.ROWS)
        .transform_aggregate(groupby=[field])
        .mark_rule(color=drawing.FAINT, size=1)
        .encode(x=x.field(field))
        for field in ("before", "behind")
    ]
    # The axis counts on behind the tower; readers count the decoder's blocks from 1 again.
    n_tower = "(length(data('rows')) ? data('rows')[0].n_tower : 0)"
    label = f"datum.value <= {n_tower} ? datum.value : datum.value == {n_tower} + 1 ? 'P' : datum.value - {n_tower} - 1"
    chosen = (
        alt.Chart(drawing.ROWS)
        .transform_filter("layer >= 0 && datum.layer === layer")
        .transform_aggregate(groupby=["place"])
        .mark_rule(color=drawing.CHOSEN, strokeDash=[5, 3], size=1.5)
        .encode(x=x)
        .properties(name=drawing.IS_CHOSEN)
    )
    drawn = drawing.line_chart(
        x.axis(labelExpr=label, tickMinStep=1, format="d"),
        drawing.score_axis("value", "test score"),
        line_styles(line_order(rows["line"])),
        [
            drawing.said("line", "read at"),
            drawing.said("layer_name", "layer"),
            drawing.said("value", "test score", ".3f"),
            drawing.said("metric", "metric"),
            drawing.said("selectivity", "above random labels", ".3f"),
            drawing.said("majority", "majority baseline", ".3f"),
        ],
        baseline="majority",
        below=[*borders, chosen],
        by_layer=False,
    )
    return drawing.with_layer(drawn)


VIEW = View(
    place=66,
    title="Vision tower, projector or decoder?",
    reading="The same probes from the picture's patches to the decoder's last block. The two lines across mark the "
    "projector (P), behind the vision tower and before the decoder. Where a line falls behind them, what the tower "
    "knew is no longer there in a linear form.",
    reads=("tower",),
    exists=lambda study: study.tower,
    rows=rows,
    chart=chart,
    follows=("task", "model"),
    legend="line",
)
