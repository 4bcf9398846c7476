"""The rows of the scores that stand for a whole task: its headline metric on its headline label."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from layerwise.compare.inputs import Task
from layerwise.errors import InputError

CODE_BITS = "code_bits"


def headline_table(scores: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """All rows that stand for a whole task, task by task: its headline label, in its metric or in bits.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions; they give the order.
    """
    parts = [
        scores[
            (scores["task"] == task.task)
            & (scores["label"] == task.headline_label)
            & scores["metric"].isin([task.metric, CODE_BITS])
        ]
        for task in tasks.values()
    ]
    return pd.concat(parts, ignore_index=True)


def with_made_from(rows: pd.DataFrame, made_from: Mapping[str, str]) -> pd.DataFrame:
    """The rows with a column ``made_from``: the language model that a row's model was made from; else empty."""
    return rows.assign(made_from=[made_from.get(model, "") for model in rows["model"]])


def headline_scores(
    scores: pd.DataFrame, tasks: Mapping[str, Task], split: str, probe: str = "logistic", metric: str | None = None
) -> pd.DataFrame:
    """Headline rows of the given tasks, in the order of the tasks, of one split and one probe.

    Args:
        scores: All scores, or the headline rows of :func:`headline_table`.
        tasks: Task descriptions.
        split: train, val or test.
        probe: logistic, majority or selectivity.
        metric: The task's own if None.

    Raises:
        InputError: A task has no such rows.
    """
    parts = []
    for task in tasks.values():
        rows = scores[
            (scores["task"] == task.task)
            & (scores["probe"] == probe)
            & (scores["split"] == split)
            & (scores["metric"] == (metric or task.metric))
            & (scores["label"] == task.headline_label)
        ]
        if rows.empty:
            raise InputError(
                f"task {task.task!r}: the scores have no {probe} rows with metric {metric or task.metric!r}, "
                f"label {task.headline_label!r} and split {split!r}; run its probes or leave the task out"
            )
        parts.append(rows)
    if not parts:
        raise InputError("no task to show: give at least one task.json")
    return pd.concat(parts, ignore_index=True)


def majority_scores(scores: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The majority baseline of every cell: the test score of always answering the train split's most frequent class.

    Figures and tables call it the majority. Its rows are those of :func:`headline_scores`.

    Raises:
        InputError: A task has no such rows.
    """
    return headline_scores(scores, tasks, "test", probe="majority")


def uniform_code(rows: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The same rows with the length of a uniform code as ``value``: log2 of the number of classes, in bits."""
    bits = {name: np.log2(task.n_classes) for name, task in tasks.items()}
    return rows.assign(value=rows["task"].map(bits))
