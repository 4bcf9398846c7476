"""All scores by layer as one table: what probes reach, what the model says, and what both are compared with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

import pandas as pd

from layerwise.compare.inputs import CELL, Given, Model, Task, as_they_are
from layerwise.compare.readings import SAID, THRESHOLD, WRITTEN
from layerwise.figures.entry import Contents

# What the reader may choose of them, in the order in which one choice limits the next.
KEYS = ["task", "prompt", "label", "model", "metric", "split", "position", "kind"]
COLUMNS = [*KEYS, "what", "layer", "n_layers", "value", "low", "high", "n", "n_groups", "C"]

# What a row is of, and how the page calls it.
PROBE, TWIN, TEXT, DIFFERENCE, MAJORITY = "probe", "twin", "text", "difference", "majority"
WHAT = {
    PROBE: "probe",
    "said": "what the model says",
    "threshold": "what it says, at threshold",
    "written": "what it writes",
    TWIN: "untrained twin",
    DIFFERENCE: "probe − twin",
    TEXT: "text alone",
    "control": "random labels",
    "selectivity": "probe − random labels",
    "redrawn": "training images drawn again",
    MAJORITY: "majority, or training mean",
}
# How its line is drawn: lengths of dashes and gaps.
DASHES = {
    PROBE: [1, 0],
    "said": [8, 3],
    "threshold": [8, 3, 2, 3],
    "written": [2, 2],
    TWIN: [4, 2],
    DIFFERENCE: [12, 3],
    TEXT: [5, 5],
    "control": [1, 3],
    "selectivity": [12, 3, 1, 3],
    "redrawn": [3, 1],
    MAJORITY: [1, 4],
}
_PROBES = {"logistic": PROBE, "task": PROBE, "ridge": PROBE, "mean": MAJORITY}
_ANSWERS = {SAID: "said", THRESHOLD: "threshold", WRITTEN: "written"}


def read(study: Contents) -> tuple[str, ...]:
    """Names of the files that the table is made from, see :class:`layerwise.compare.inputs.Given`."""
    names = {
        ("models",): study.probes or study.numbers,
        ("scores", "headline", "tasks", "which-layer", "best-layers"): study.probes,
        ("number-scores", "number-headline", "number-tasks", "numbers"): study.numbers,
        ("said",): bool(study.says),
        ("kinds",): bool(study.kinds),
        ("positions", "picture-positions"): study.positions,
        ("task-positions", "positions-by-layer"): study.task_positions,
        ("twin-differences",): study.probes and study.twins,
    }
    return tuple(name for group, has in names.items() if has for name in group)


@lru_cache(maxsize=1)
def scores_by_layer(given: Given) -> pd.DataFrame:
    """The table.

    Rows of the label that stands for a task come first, then those of single labels, in the task's own metric alone.
    Models with interventions are left out. Of several draws of an untrained twin there is the mean, where there is one.

    Returns:
        Columns ``COLUMNS``. ``what`` is a key of ``WHAT``; ``layer`` is -1 for what has no layer, such as the majority;
        ``C`` is the penalty for numbers. Rows of a cell lie together, by layer.
    """
    parts = []
    tasks: dict[str, Task] = {}
    if "scores" in given.files:
        tasks |= given.tasks
        parts.append(_scores(given, given.scores, "headline", given.tasks).assign(kind="logistic"))
        parts.append(_text_alone(parts[0], given.comparison("which-layer"), tasks))
    if "number-scores" in given.files:
        tasks |= given.number_tasks
        numbers = given.number_scores.rename(columns={"penalty": "C"})
        parts.append(_scores(given, numbers, "number-headline", given.number_tasks).assign(kind="ridge"))
    if "said" in given.files:
        parts.append(_said(given.comparison("said"), parts[0], tasks))
    if "kinds" in given.files:
        kinds = given.kinds[given.kinds["probe"].isin(["task", "control", "selectivity"])]
        kinds, models = as_they_are(kinds, given.models)
        parts.append(_of_labels(_with_twins(kinds.assign(what=kinds["probe"].replace(_PROBES)), models), tasks))
    if "twin-differences" in given.files:
        parts.append(_differences(given.comparison("twin-differences")))
    rows = pd.concat([part for part in parts if not part.empty], ignore_index=True).assign(position="")
    if "positions" in given.files or "task-positions" in given.files:
        rows = _with_positions(rows, given, tasks)
    return _in_order(rows.dropna(subset="value").reindex(columns=COLUMNS), tasks)


def cells(given: Given) -> pd.DataFrame:
    """What there is to choose: a row per combination of ``KEYS``, with ``best_layer`` and ``last_layer``.

    The best layer is that of the task's probe on validation; the last one is the highest that has a score.
    """
    rows = scores_by_layer(given)
    found = rows[rows["what"] == PROBE].groupby(KEYS, sort=False, observed=True)["layer"].max()
    table = found.rename("last_layer").reset_index()
    names = [name for name in ("best-layers", "numbers") if name in given.files]
    best = pd.concat([given.comparison(name)[[*CELL, "best_layer"]] for name in names])
    table = table.merge(best, on=CELL, how="left")
    table["last_layer"] = table["last_layer"].clip(lower=0)
    table["best_layer"] = table["best_layer"].fillna(table["last_layer"]).astype(int).clip(upper=table["last_layer"])
    return table


def _scores(given: Given, scores: pd.DataFrame, headline: str, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """Scores with several draws as one model, and the rows of untrained models told apart."""
    rows, models = as_they_are(scores, given.models)
    merged = given.comparison(headline)
    merged = merged[merged["draws"] != ""]
    drawn = {name for names in merged["draws"].unique() for name in names.split()}
    rows = pd.concat([rows[~rows["model"].isin(drawn)], merged], ignore_index=True)
    rows = rows.assign(what=rows["probe"].replace(_PROBES))
    return _of_labels(_with_twins(rows[rows["what"].isin(WHAT)], models, set(merged["model"])), tasks)


def _with_twins(rows: pd.DataFrame, models: Mapping[str, Model], merged: Collection[str] = frozenset()) -> pd.DataFrame:
    """The rows, with those of untrained models' probes as twins'. Of these nothing else is shown.

    Only an untrained model beside trained ones is anybody's twin.

    Args:
        rows: with a column ``what``.
        models: all models.
        merged: the means of several untrained ones.
    """
    random = {name for name, model in models.items() if model.is_random} | set(merged)
    if random.issuperset(models):
        return rows
    untrained = rows["model"].isin(random)
    rows = rows[~untrained | (rows["what"] == PROBE)]
    return rows.assign(what=rows["what"].mask(untrained, TWIN))


def _of_labels(rows: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The rows that stand for a task, and of its single labels test scores in its own metric."""
    label, metric = (
        rows["task"].map({name: getattr(task, field) for name, task in tasks.items()})
        for field in ("headline_label", "metric")
    )
    single = (rows["metric"] == metric) & (rows["split"] == "test") & rows["what"].isin([PROBE, TWIN, MAJORITY, "said"])
    return rows[(rows["label"] == label) | (single & label.notna())]


def _text_alone(rows: pd.DataFrame, which_layer: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """For each prompt with an image the rows of the same words without it, in the task's metric."""
    pairs = which_layer.loc[which_layer["text_only"] != "", [*CELL, "text_only"]]
    own = rows["metric"] == rows["task"].map({name: task.metric for name, task in tasks.items()})
    text = rows[own & (rows["what"] == PROBE)].rename(columns={"prompt": "text_only"})
    return pairs.merge(text, on=["model", "task", "text_only"]).assign(what=TEXT)


def _said(said: pd.DataFrame, scores: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """What models say, in the metrics that their probes have too."""
    rows = said[said["metric"].isin(scores["metric"].unique())]
    return _of_labels(rows.assign(kind="logistic", what=rows["answer"].map(_ANSWERS)), tasks)


def _differences(table: pd.DataFrame) -> pd.DataFrame:
    ends = {"difference": "value", "difference_low": "low", "difference_high": "high"}
    return table.rename(columns=ends).assign(kind="logistic", split="test", what=DIFFERENCE)


def _with_positions(rows: pd.DataFrame, given: Given, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """With the rows of each picture's position and of those that tasks name, and the name of the position that all
    others are of."""
    parts, named = [], set()
    if "positions" in given.files:
        parts.append(given.positions)
        named |= set(given.comparison("picture-positions")["position"])
    if "task-positions" in given.files:
        parts.append(given.task_positions)
        named |= set(given.comparison("positions-by-layer")["position"])
    further, models = as_they_are(pd.concat(parts, ignore_index=True), given.models)
    further = _with_twins(further.assign(kind="logistic", what=PROBE), models)
    named -= set(further["position"])
    own = rows.assign(position=named.pop() if named else "")
    return pd.concat([own, _of_labels(further, tasks)], ignore_index=True)


def _in_order(rows: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """First the label, metric and split that stand for a task; otherwise in the order in which names appear."""
    first = {
        "label": rows["label"] == rows["task"].map({name: task.headline_label for name, task in tasks.items()}),
        "metric": rows["metric"] == rows["task"].map({name: task.metric for name, task in tasks.items()}),
        "split": rows["split"] == "test",
    }
    by = {}
    for key in [*KEYS, "what"]:
        order = list(tasks) if key == "task" else list(WHAT) if key == "what" else list(rows[key].unique())
        place = rows[key].map({name: place for place, name in enumerate(order)})
        by[key] = place.mask(first[key], -1) if key in first else place
    order = pd.DataFrame(by | {"layer": rows["layer"]}).sort_values([*by, "layer"], kind="stable").index
    return rows.loc[order].reset_index(drop=True)
