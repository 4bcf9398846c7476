"""The rows of states that a task has classes for, and what a concept of them is fitted on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.probes.kept import digest_of_labels


@dataclass(frozen=True)
class Labelled:
    """The rows of a states file that a task has classes for, one label each.

    Attributes:
        table: ``row``, ``label``, ``y``, ``split``; one line for each item.
        classes: names.
    """

    table: pd.DataFrame
    classes: list[str]

    @classmethod
    def of(
        cls, task: Mapping[str, Any], labels: pd.DataFrame, item_ids: Sequence[str], row_of_item: np.ndarray
    ) -> "Labelled":
        """The rows of a task.

        Args:
            task: ``task.json``.
            labels: ``labels.parquet``.
            item_ids: the items that the states file holds.
            row_of_item: their rows in it.

        Raises:
            InputError: when the task is about numbers, the states lack an item, a row has several labels or classes,
                or the training rows lack a class.
        """
        name, classes = task["task"], list(map(str, task["classes"]))
        if len(classes) < 2:
            raise InputError(
                f"tasks.{name}: asks for numbers, and only classes can be erased; leave it out of `used.tasks`"
            )
        rows = pd.Series(row_of_item, index=pd.Index(item_ids))
        unknown = ~labels["item_id"].isin(rows.index)
        if unknown.any():
            raise InputError(f"tasks.{name}: item {labels.loc[unknown, 'item_id'].iloc[0]!r} is not in the states file")
        table = labels[["item_id", "label", "y", "split"]].assign(row=rows.loc[labels["item_id"]].to_numpy())
        meant = table.groupby("row")[["label", "y"]].nunique()
        if (several := meant[(meant > 1).any(axis=1)]).size:
            first = table[table["row"] == several.index[0]]
            told = ", ".join(f"{row.label}: {classes[row.y]}" for row in first.head(3).itertuples())
            raise InputError(
                f"tasks.{name}: one state stands for several labels or classes (of item {first['item_id'].iloc[0]!r}: "
                f"{told}); only a prompt that asks each item for one thing has a concept to erase"
            )
        table = table.drop_duplicates("row")
        counts = table.loc[table["split"] == "train", "y"].value_counts()
        if lacking := [of_class for y, of_class in enumerate(classes) if counts.get(y, 0) == 0]:
            raise InputError(f"tasks.{name}: no training item of class {lacking[0]!r}; sample more images")
        return cls(table, classes)


def concept_cell(
    task: Mapping[str, Any], labels: pd.DataFrame, states: Mapping[str, Any], position: str
) -> dict[str, Any]:
    """What a concept is fitted on, with the keys that kept probes have too.

    Args:
        task: ``task.json``.
        labels: ``labels.parquet``.
        states: the cell of the states file.
        position: of the states.
    """
    cell = {"task": task["task"], "classes": list(task["classes"]), "labels_digest": digest_of_labels(labels)}
    cell |= {"position": position, "states": dict(states)}
    return cell | {key: states.get(key) for key in ("model_digest", "stimuli_digest")}
