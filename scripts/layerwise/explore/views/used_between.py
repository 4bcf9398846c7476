"""Is what is erased the concept alone? A map of erased concepts by the tasks whose answers they take."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given


def rows(given: Given) -> pd.DataFrame:
    used, across = given.comparison("used"), given.comparison("used-across")
    peaks = used[used["peak"]]
    peaks = peaks.assign(of=peaks["task"] + "/" + peaks["prompt"])[["model", "of", "block"]]
    found = across.merge(peaks.rename(columns={"block": "peak"}), on=["model", "of"], how="left")
    # A model that does not answer has no such block.
    found = found.assign(peak=found["peak"].fillna(found["n_layers"]).astype(int))
    return found.assign(concept=found["of"].str.replace("/", ": "), answered=found["task"] + ": " + found["prompt"])


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing

    base = (
        alt.Chart(drawing.ROWS)
        .transform_filter("datum.block === (layer < 1 || layer > datum.n_layers ? datum.peak : layer)")
        .transform_calculate(
            interval=drawing.interval("effect_low", "effect_high"),
            whose="datum.own ? 'its own task' : 'another task'",
        )
    )
    colour = alt.Color("completeness:Q", title="share of the margin taken").scale(scheme="blues", domain=[0, 1])
    return drawing.map_chart(
        base,
        alt.X("answered:N", title="task that is answered", sort=None).axis(labelLimit=140, labelAngle=-60),
        alt.Y("concept:N", title="erased", sort=None).axis(labelLimit=160),
        colour.legend(drawing.gradient()),
        [
            drawing.said("concept", "erased"),
            drawing.said("answered", "answered"),
            drawing.said("whose", "that is"),
            drawing.said("block", "block"),
            drawing.said("completeness", "share of the margin taken", ".3f"),
            drawing.said("effect", "fall of the margin (log odds)", ".3f"),
            drawing.INTERVAL,
            drawing.said("flips", "answers that change", ".1%"),
        ],
        number="isValid(datum.completeness) ? format(100 * datum.completeness, '.0f') : '–'",
        dark="datum.completeness > 0.55",
        frame="datum.own",
        height=drawing.height_of(rows, "concept", VIEW.follows, 30),
    )


VIEW = View(
    place=41,
    title="Is it the concept alone?",
    reading="How much of each task's answer (columns) is lost when a concept (rows) is erased. Framed: its own task. "
    "It is erased in the chosen layer, or, where that is no block, where it takes most of its own answer. – says that "
    "the model does not answer.",
    reads=("used", "used-across"),
    exists=lambda study: bool(study.used),
    rows=rows,
    chart=chart,
    follows=("model",),
    picks={"task": "task", "prompt": "prompt"},
)
