"""Which layers know it, at a glance: a strip of layers for every model and prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given

KEPT = ["model", "task", "prompt", "metric", "n_layers", "n", "n_groups", "chance", "missing"]
KEPT += ["best_layer", "best", "best_low", "best_high", "first_above_all"]
UNTESTED = "not tested"
BEST, AS_GOOD, FIRST = "best layer", "as good as the best", "known from here on"


def rows(given: Given) -> pd.DataFrame:
    import pandas as pd

    from layerwise.figures.drawing.strips import shade

    found = []
    for row in given.comparison("which-layer").to_dict("records"):
        as_good = set(map(int, row["not_worse"].split()))
        for layer in range(int(row["n_layers"]) + 1):
            marks = {
                BEST: layer == row["best_layer"],
                AS_GOOD: layer in as_good and layer != row["best_layer"],
                FIRST: not pd.isna(row["first_above_all"]) and layer == row["first_above_all"],
            }
            of_layer = {"layer": layer, "verdict": shade(row, layer)}
            of_layer |= {"marks": "; ".join(mark for mark, there in marks.items() if there)}
            found.append({name: row[name] for name in KEPT} | of_layer)
    table = pd.DataFrame(found, columns=[*KEPT, "layer", "verdict", "marks"])
    return table.assign(strip=table["model"] + ": " + table["prompt"])


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing
    from layerwise.figures.drawing.strips import EDGE, SHADES
    from layerwise.figures.drawing.strips import FIRST as FIRST_COLOUR

    shades = [shade for shade in SHADES if shade in set(rows["verdict"])]
    base = alt.Chart(drawing.ROWS).transform_calculate(interval=drawing.interval("best_low", "best_high"))
    x = alt.X("layer:O", title=drawing.LAYER).axis(labelAngle=0, labelOverlap=True)
    y = alt.Y("strip:N", title=None, sort=None).axis(labelLimit=180)
    colour = alt.Color("verdict:N", legend=None).scale(
        domain=shades, range=[drawing.EDGE if shade == UNTESTED else SHADES[shade] for shade in shades]
    )
    tooltip = [
        drawing.said("strip", "model: prompt"),
        drawing.said("layer", "layer"),
        drawing.said("verdict", "is"),
        drawing.said("marks", "and"),
        drawing.said("best_layer", "best layer of all"),
        drawing.said("best", "its test score", ".3f"),
        drawing.INTERVAL,
        drawing.said("metric", "metric"),
        drawing.said("chance", "majority baseline", ".3f"),
        drawing.said("n", "items", "d"),
        drawing.said("n_groups", "groups of items", "d"),
        drawing.said("missing", "not compared with"),
    ]
    boxes = base.mark_rect(stroke=EDGE, strokeWidth=0.5).encode(x=x, y=y, color=colour, tooltip=tooltip)

    def marked(mark: str, symbol: str) -> alt.Chart:
        light = alt.condition("datum.verdict === 'above all'", alt.value("#FFFFFF"), alt.value("#222222"))
        ink = alt.value(FIRST_COLOUR) if mark == FIRST else light
        at_it = base.transform_filter(f"indexof(datum.marks, '{mark}') >= 0")
        place = {"x": alt.X("layer:O", bandPosition=0.12)} if mark == FIRST else {"x": x}
        return at_it.mark_text(text=symbol, fontSize=14).encode(y=y, color=ink, tooltip=tooltip, **place)

    chosen = base.transform_filter("datum.layer === layer").mark_rect(
        fillOpacity=0, stroke=drawing.FRAME, strokeWidth=2
    )
    layers = (
        boxes.properties(name=drawing.MARKS),
        chosen.properties(name=drawing.IS_CHOSEN).encode(x=x, y=y, tooltip=tooltip),
    )
    marks = (marked(BEST, "★"), marked(AS_GOOD, "•"), marked(FIRST, "▸"))
    return drawing.with_layer(
        alt.layer(*layers, *marks).properties(
            width="container", height=drawing.height_of(rows, "strip", VIEW.follows), autosize=drawing.IN_WIDTH
        )
    )


VIEW = View(
    place=1,
    title="Which layers know it, at a glance",
    reading="A row for each model and prompt, a box for each layer. Dark: above chance, above the untrained twin and "
    "above what the text alone gives. ★ is the best layer, • is as good as the best, ▸ says from where on it is known.",
    reads=("which-layer",),
    exists=lambda study: study.probes,
    rows=rows,
    chart=chart,
    follows=("task",),
    legend="verdict",
    picks={"model": "model", "prompt": "prompt", "layer": "layer"},
)
