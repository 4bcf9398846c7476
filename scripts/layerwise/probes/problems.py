"""What a probe engine is asked: for each label of a task, which rows of the states to learn from."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from layerwise.errors import InputError


@dataclass(frozen=True)
class Problem:
    """One label of a task over the rows of a states file.

    Attributes:
        label: its name.
        n_classes: K.
        items: by split, the items' ids, shape (n,).
        groups: by split, the items' groups (images), shape (n,).
        rows: by split, the items' rows in the states file, shape (n,).
        y: by split, class indices, shape (n,).
    """

    label: str
    n_classes: int
    items: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    y: dict[str, np.ndarray]


def make_problems(
    labels: pd.DataFrame, names: list[str], n_classes: int, item_ids: list[str], row_of_item: np.ndarray
) -> list[Problem]:
    """The problems of a task, in the order of ``names``.

    Args:
        labels: ``item_id``, ``group``, ``label``, ``y``, ``split``.
        names: the labels' names.
        n_classes: classes per label.
        item_ids: the items that the states file holds.
        row_of_item: their rows in it.

    Raises:
        InputError: on an item that the states file does not hold.
    """
    row = pd.Series(row_of_item, index=pd.Index(item_ids))
    unknown = ~labels["item_id"].isin(row.index)
    if unknown.any():
        raise InputError(f"the task's item {labels.loc[unknown, 'item_id'].iloc[0]!r} is not in the states file")
    labels = labels.assign(row=row.reindex(labels["item_id"]).to_numpy())
    problems = []
    for name in names:
        of_label = labels[labels["label"] == name]
        splits = dict(list(of_label.groupby("split", sort=False)))

        def column(key: str, splits=splits) -> dict[str, np.ndarray]:
            return {split: table[key].to_numpy() for split, table in splits.items()}

        problems.append(Problem(name, n_classes, column("item_id"), column("group"), column("row"), column("y")))
    return problems


def standardise(states: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """States with mean 0 and standard deviation 1 in every dimension over ``rows``; constant dimensions become 0.

    Args:
        states: shape (rows, width), float32.
        rows: rows to take mean and deviation from - training rows only, so that nothing of the test is seen.
    """
    training = states[rows].astype(np.float64)
    mean, deviation = training.mean(axis=0), training.std(axis=0)
    scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=deviation > 1e-12 * np.abs(mean).clip(1e-12))
    return ((states - mean) * scale).astype(np.float32)
