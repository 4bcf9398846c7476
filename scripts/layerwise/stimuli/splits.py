"""Divide groups of items into train, val and test."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerwise.errors import InputError

SPLITS = ("train", "val", "test")
# The official parts of the data sets that we read; a table's own split column uses the words themselves.
OFFICIAL = {
    "train2017": "train", "val2017": "test",
    "train": "train", "dev": "val", "val": "val", "test": "test",
}  # fmt: skip


def random_split(groups: Sequence[str], val: float, test: float, seed: int) -> dict[str, str]:
    """Assign each group to a split at random; sizes are rounded shares of the number of groups."""
    ordered = sorted(groups)
    order = np.random.default_rng(seed).permutation(len(ordered))
    n_test, n_val = round(test * len(ordered)), round(val * len(ordered))
    names = np.array(["test"] * n_test + ["val"] * n_val + ["train"] * (len(ordered) - n_test - n_val))
    return {ordered[i]: str(name) for i, name in zip(order, names, strict=True)}


def official_split(parts: pd.Series, val: float, seed: int) -> dict[str, str]:
    """Assign each group to the split of its official part.

    Args:
        parts: official part by group (index).
        val: share of the training groups that become validation where the data set has no validation part.
        seed: seed of that choice.

    Raises:
        InputError: when no training or no test part was sampled.
    """
    if unknown := sorted(set(parts) - set(OFFICIAL)):
        raise InputError(f"split.by: official does not know the part {unknown[0]!r}; it knows {', '.join(OFFICIAL)}")
    split = parts.map(OFFICIAL)
    for needed in ("train", "test"):
        if not (split == needed).any():
            names = [part for part, name in OFFICIAL.items() if name == needed]
            raise InputError(
                f"split.by: official needs images from a {needed} part ({' or '.join(names)}), but the stimulus set "
                f"has only {', '.join(sorted(set(parts)))}; sample some, or use split.by: random"
            )
    if not (split == "val").any():
        train = list(split.index[split == "train"])
        inner = random_split(train, val=val, test=0.0, seed=seed)
        split.loc[train] = [inner[group] for group in train]
    return split.to_dict()
