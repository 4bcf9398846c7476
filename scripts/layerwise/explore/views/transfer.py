"""Is it the same knowledge? Kept probes read the states of other prompts, tasks and versions of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from layerwise.explore.entry import View

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd

    from layerwise.compare.inputs import Given

CENTRES = {"own": "re-centred", "source": "as fitted"}


def rows(given: Given) -> pd.DataFrame:
    import pandas as pd

    from layerwise.compare.inputs import CELL
    from layerwise.compare.rows import headline_scores
    from layerwise.figures.drawing.carried import OWN, of_metric, row_names

    carried = of_metric(given.comparison("carried"), given.tasks)
    carried = carried[~carried["flipped"]].drop(columns="flipped")
    carried = carried.assign(probe=row_names(carried))
    tasks = {name: task for name, task in given.tasks.items() if name in set(carried["task"])}
    # The probes of the targets themselves, under both centres.
    targets = carried.drop_duplicates(CELL)[[*CELL, "best_layer"]]
    own = headline_scores(given.scores, tasks, "test") if tasks else given.scores.iloc[:0]
    own = own.drop(columns="probe").merge(targets, on=CELL).assign(probe=OWN, loss_low=None, loss_high=None)
    own = pd.concat([own.assign(centre=centre) for centre in CENTRES], ignore_index=True)
    found = pd.concat([carried, own[[column for column in carried if column in own]]], ignore_index=True)
    # Scores of the targets' own probes do not say it.
    chance = found["chance"].fillna(found.groupby([*CELL, "centre"])["chance"].transform("max"))
    target = found["task"] + ": " + found["prompt"]
    return found.assign(chance=chance, target=target, centre=found["centre"].map(CENTRES)).astype(
        {"loss_low": float, "loss_high": float}
    )


def chart(rows: pd.DataFrame) -> alt.TopLevelMixin:
    import altair as alt

    from layerwise.explore import drawing
    from layerwise.figures.drawing.carried import OWN

    targets = list(rows["target"].unique())
    probes = [OWN, *targets, *(name for name in rows["probe"].unique() if name not in (OWN, *targets))]
    above = "(datum.value - datum.chance) / (datum.value >= datum.chance ? 1 - datum.chance : datum.chance)"
    base = (
        alt.Chart(drawing.ROWS)
        .transform_filter("datum.layer < 0 || datum.layer === (layer < 0 ? datum.best_layer : layer)")
        .transform_calculate(above=above, interval=drawing.interval("loss_low", "loss_high"))
    )
    colour = alt.Color("above:Q", title="0: chance, 1: all right").scale(scheme="redblue", domain=[-1, 1], clamp=True)
    return drawing.map_chart(
        base,
        alt.X("target:N", title="states that are read", sort=targets).axis(labelLimit=140, labelAngle=-60),
        alt.Y("probe:N", title=None, sort=probes).axis(labelLimit=160),
        colour.legend(drawing.gradient()),
        [
            drawing.said("probe", "probe fitted on"),
            drawing.said("target", "reads the states of"),
            drawing.said("layer", "layer"),
            drawing.said("metric", "metric"),
            drawing.said("value", "test score", ".3f"),
            drawing.said("own", "own probe, same items", ".3f"),
            drawing.said("loss", "loss (own − carried)", ".3f"),
            drawing.said("interval", "95 % interval of the loss"),
            drawing.said("home", "where it was fitted", ".3f"),
            drawing.said("chance", "majority baseline", ".3f"),
            drawing.said("n", "items", "d"),
            drawing.said("n_groups", "groups of items", "d"),
            drawing.said("why_not", "not scored because"),
        ],
        number="isValid(datum.value) ? format(100 * datum.value, '.0f') : 'few'",
        dark="abs(datum.above) > 0.65",
        height=drawing.height_of(rows, "probe", VIEW.follows),
    )


VIEW = View(
    place=30,
    title="Is it the same knowledge?",
    reading="Probes of one prompt, task or model (rows) read the states of another (columns), without being fitted "
    "again. White is chance, blue above it, red below. All are read in the chosen layer.",
    reads=("carried", "scores", "tasks"),
    exists=lambda study: bool(study.carried),
    rows=rows,
    chart=chart,
    follows=("model", "centre"),
    picks={"task": "task", "prompt": "prompt"},
)
