"""The labels of a task over the rows of a states file: what is learned from which rows, and scored on which."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from layerwise.errors import InputError

# Numbers copied from a layer at a time; sums take them in float64.
NUMBERS_PER_BLOCK = 2**21


@dataclass(frozen=True)
class Problem:
    """One label of a task over the rows of a states file.

    Attributes:
        label: its name.
        n_classes: K; 0 where labels are numbers.
        items: by split, the items' ids, shape (n,).
        groups: by split, the items' groups (images), shape (n,).
        rows: by split, the items' rows in the states file, shape (n,).
        y: by split, class indices or numbers, shape (n,).
        texts: by split, shape (n,), numbers that are equal where items read the same; empty where unknown.
        counts: how often each training item counts, shape (n,), 0 or more. Default - once.
    """

    label: str
    n_classes: int
    items: dict[str, np.ndarray]
    groups: dict[str, np.ndarray]
    rows: dict[str, np.ndarray]
    y: dict[str, np.ndarray]
    texts: dict[str, np.ndarray] = field(default_factory=dict)
    counts: np.ndarray | None = None


def make_problems(
    labels: pd.DataFrame,
    names: list[str],
    n_classes: int,
    item_ids: list[str],
    row_of_item: np.ndarray,
    split: str = "split",
    texts: np.ndarray | None = None,
) -> list[Problem]:
    """The problems of a task, in the order of ``names``.

    Args:
        labels: ``item_id``, ``group``, ``label``, ``y``, ``split``.
        names: the labels' names.
        n_classes: classes per label.
        item_ids: the items that the states file holds.
        row_of_item: their rows in it.
        split: the column that says which split an item is in.
        texts: by item of ``item_ids``, a number that is equal where items read the same.

    Raises:
        InputError: on an item that the states file does not hold.
    """
    known = pd.DataFrame({"row": row_of_item}, index=pd.Index(item_ids))
    unknown = ~labels["item_id"].isin(known.index)
    if unknown.any():
        raise InputError(f"the task's item {labels.loc[unknown, 'item_id'].iloc[0]!r} is not in the states file")
    if texts is not None:
        known["text"] = texts
    of_items = known.loc[labels["item_id"]]
    labels = labels.assign(**{column: of_items[column].to_numpy() for column in of_items})
    problems = []
    for name in names:
        of_label = labels[labels["label"] == name]
        splits = dict(list(of_label.groupby(split, sort=False)))

        def column(key: str, splits=splits) -> dict[str, np.ndarray]:
            return {split: table[key].to_numpy() for split, table in splits.items()}

        items, groups, rows, y = map(column, ("item_id", "group", "row", "y"))
        problems.append(Problem(name, n_classes, items, groups, rows, y, {} if texts is None else column("text")))
    return problems


@dataclass(frozen=True)
class Standardisation:
    """The affine map that gives every dimension mean 0 and standard deviation 1 over some rows.

    Attributes:
        mean: what is subtracted, shape (width,), float32.
        scale: what is multiplied by then, shape (width,), float32; 0 for constant dimensions.
        deviation: the standard deviation, shape (width,), float32.
    """

    mean: np.ndarray
    scale: np.ndarray
    deviation: np.ndarray

    @classmethod
    def of(cls, states: np.ndarray, rows: np.ndarray) -> "Standardisation":
        """That of some rows of states, shape (rows, width), float32."""
        total, squares = np.zeros(states.shape[1]), np.zeros(states.shape[1])
        blocks = list(in_blocks(rows, states.shape[1]))
        for block in blocks:
            total += states[block].sum(axis=0, dtype=np.float64)
        mean = total / len(rows)
        for block in blocks:
            squares += np.square(states[block] - mean).sum(axis=0)
        deviation = np.sqrt(squares / len(rows))
        # A deviation no greater than float32's rounding of the mean is that of a constant.
        constant = deviation <= 1e-6 * np.abs(mean)
        scale = np.divide(1, deviation, out=np.zeros_like(deviation), where=~constant & (deviation > 0))
        return cls(mean.astype(np.float32), scale.astype(np.float32), deviation.astype(np.float32))

    def apply(self, states: np.ndarray) -> np.ndarray:
        """Standardise states, shape (rows, width), float32, in place; memory may hold a large layer only once."""
        states -= self.mean
        states *= self.scale
        return states


def standardise(states: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Give every dimension mean 0 and standard deviation 1 over ``rows``, in place; constant dimensions become 0.

    Args:
        states: shape (rows, width), float32; overwritten.
        rows: rows that give mean and deviation: training rows only, so that nothing of the test is seen.

    Returns:
        ``states``.
    """
    return Standardisation.of(states, rows).apply(states)


def in_blocks(rows: np.ndarray, width: int) -> Iterator[np.ndarray]:
    """Row indices, shape (n,), in consecutive parts small enough for their states to fit beside a layer."""
    at_once = max(1, NUMBERS_PER_BLOCK // width)
    for start in range(0, len(rows), at_once):
        yield rows[start : start + at_once]
