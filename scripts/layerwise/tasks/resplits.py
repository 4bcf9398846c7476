"""Other splits of a finished task, and shares of its training images, from its labels alone."""

from typing import Any

import numpy as np
import pandas as pd

from layerwise.tasks.splits import random_split
from layerwise.tasks.unseen_texts import TEXT, counterpart_sets, left_out


def resplit(labels: pd.DataFrame, entry: dict[str, Any], seed: int) -> pd.Series:
    """Another split of the same items, by row of the labels.

    Args:
        labels: of the task.
        entry: ``split`` of its task.json. With official parts the test items stay, and the groups of train and val are
            divided again, in their present numbers. With unseen texts, as many are held out again, the same ones as far
            as the test items still have them.
        seed: of the choice.

    Returns:
        train, val, test, or missing for items that this split leaves out.
    """
    found = _divided(labels, entry, seed)
    if "unseen_texts" in entry:
        found = found.mask(left_out(labels[TEXT], found, entry["unseen_texts"], counterpart_sets(labels)))
    return found


def _divided(labels: pd.DataFrame, entry: dict[str, Any], seed: int) -> pd.Series:
    """The split before texts are held out."""
    if entry["by"] == "official":
        moved = labels["split"] != "test"
        # Items that the first split leaves out have no split, but their groups do.
        groups = labels.loc[moved & labels["split"].notna(), ["group", "split"]].drop_duplicates("group")
        share = (groups["split"] == "val").mean()
        found = random_split(list(labels.loc[moved, "group"].unique()), share, 0, seed, _contents(labels[moved]))
    else:
        found = random_split(list(labels["group"].unique()), entry["val"], entry["test"], seed, _contents(labels))
    return labels["group"].map(found).fillna("test")


def share_of_training(labels: pd.DataFrame, split: pd.Series, share: float, seed: int) -> np.ndarray:
    """Groups that are a share of the training groups, with that share of every class.

    Args:
        labels: of the task.
        split: by row of the labels.
        share: of the training groups.
        seed: of the choice.
    """
    training = labels[(split == "train").to_numpy()]
    groups = list(training["group"].unique())
    found = random_split(groups, share, 0, seed, _contents(training))
    return np.array([group for group in groups if found[group] == "val"], dtype=object)


def _contents(labels: pd.DataFrame) -> pd.DataFrame:
    """Items of each group, by class."""
    return labels.pivot_table(index="group", columns=["label", "y"], aggfunc="size", fill_value=0)
