"""Scores, selectivity and description length of every kind of probe, side by side."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.rows import CODE_BITS, majority_scores
from layerwise.compare.statistics.choice import choose_layer
from layerwise.errors import InputError

BY = [*CELL, "kind", "layer"]
# The layer of a probe that reads all of them.
ALL_LAYERS = -1


def compare_kinds(scores: pd.DataFrame, kinds: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """A row per cell, kind and layer; :mod:`layerwise.compare.complexity` lists the columns.

    Args:
        scores: of logistic regression, in all cells.
        kinds: scores of the further kinds.
        tasks: descriptions; they give the order.

    Raises:
        InputError: a task has no scores of some kind.
    """
    own = scores[scores["probe"].isin(["logistic", "selectivity"])].assign(kind="logistic")
    both = pd.concat([own.replace({"probe": {"logistic": "task"}}), kinds], ignore_index=True)
    chance = majority_scores(scores, tasks).set_index(CELL)["value"]
    return pd.concat([_of_task(both, task, chance) for task in tasks.values()], ignore_index=True)


def _of_task(rows: pd.DataFrame, task: Task, chance: pd.Series) -> pd.DataFrame:
    rows = rows[(rows["task"] == task.task) & (rows["label"] == task.headline_label)]

    def take(name: str, probe: str, split: str, metric: str) -> pd.DataFrame:
        found = rows[(rows["probe"] == probe) & (rows["split"] == split) & (rows["metric"] == metric)].set_index(BY)
        return found[["value", "low", "high"]].set_axis([name, f"{name}_low", f"{name}_high"], axis=1)

    score = take("score", "task", "test", task.metric)
    validation = rows[(rows["probe"] == "task") & (rows["split"] == "val") & (rows["metric"] == task.metric)]
    if score.empty or validation.empty:
        raise InputError(f"task {task.task!r}: no probe of it has {task.metric} on the test and the validation split")
    table = validation.set_index(BY)[["n_layers", "value"]].rename(columns={"value": "validation"})
    for part in (
        score,
        take("selectivity", "selectivity", "test", task.metric),
        take("bits", "task", "train", CODE_BITS),
    ):
        table = table.join(part)
    table = table.reset_index().assign(metric=task.metric, uniform_bits=np.log2(task.n_classes))
    table["chance"] = chance.reindex(pd.MultiIndex.from_frame(table[CELL])).to_numpy()
    table["is_top"] = table["layer"] == table["n_layers"]
    table["is_best"] = table["layer"] == ALL_LAYERS
    for _, of_kind in table[table["layer"] != ALL_LAYERS].groupby([*CELL, "kind"], sort=False):
        best = choose_layer(of_kind[["layer", "n_layers", "validation"]].rename(columns={"validation": "value"}))
        table.loc[of_kind.index[of_kind["layer"] == best], "is_best"] = True
    return table
