"""The rows of the scores that stand for a whole task: its headline metric on its headline label."""

from collections.abc import Mapping

import pandas as pd

from layerwise.errors import InputError
from layerwise.figures.inputs import Task
from layerwise.probes.clusters import FEWEST_TEXTS

METRIC_NAMES = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
}
# What tables of scores say of their intervals.
HOLDS_FOR = (
    f"Where at least {FEWEST_TEXTS} texts are shared by images, intervals are over texts too; with fewer, scores hold "
    "for these texts only. A mean over categories holds for these categories only."
)


def headline_scores(
    scores: pd.DataFrame, tasks: Mapping[str, Task], split: str, probe: str = "logistic", metric: str | None = None
) -> pd.DataFrame:
    """Rows of ``scores`` of the given tasks, in the tasks' order: headline metric and label, one split, one probe.

    ``metric`` takes another one than the task's.

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

    This is what figures and tables call the majority; its rows are those of :func:`headline_scores`.

    Raises:
        InputError: A task has no such rows.
    """
    return headline_scores(scores, tasks, "test", probe="majority")


def metric_name(task: Task) -> str:
    """The task's headline metric in words, as an axis title says it."""
    return METRIC_NAMES.get(task.metric, task.metric.replace("_", " "))
