"""Splits of odd data: groups of very different size, few groups, and other splits of a finished task."""

import numpy as np
import pandas as pd
import pytest

from layerwise.tasks.resplits import resplit, share_of_training
from layerwise.tasks.splits import random_split


def contents(sizes, n_labels=1, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [
        (f"g{group:03d}", f"l{label}", k)
        for group, size in enumerate(sizes)
        for label in range(n_labels)
        for k in rng.integers(0, 2, size)
    ]
    table = pd.DataFrame(rows, columns=["group", "label", "class"])
    return table.pivot_table(index="group", columns=["label", "class"], aggfunc="size", fill_value=0)


def items_of(split, counts) -> pd.Series:
    return counts.sum(axis=1).groupby(pd.Series(split)).sum()


@pytest.mark.parametrize("seed", range(8))
def test_a_giant_group_is_trained_on(seed):
    """With three quarters of the items in one group, no held-out split may be that group."""
    counts = contents([150, *[2] * 25], seed=seed)
    split = random_split(list(counts.index), 0.2, 0.25, seed, counts)
    assert split["g000"] == "train"
    assert pd.Series(split).value_counts().to_dict() == {"train": 15, "test": 6, "val": 5}


@pytest.mark.parametrize("seed", range(4))
def test_very_uneven_groups_leave_no_split_far_off_its_share(seed):
    sizes = np.ceil(np.random.default_rng(seed).lognormal(1, 1.5, 40)).astype(int)
    counts = contents(sizes, seed=seed)
    items = items_of(random_split(list(counts.index), 0.2, 0.25, seed, counts), counts)
    shares = items / items.sum() / pd.Series({"train": 0.55, "val": 0.2, "test": 0.25})
    assert shares.min() > 0.5
    assert shares.max() < 2


def test_three_groups_are_enough_for_three_splits():
    assert sorted(random_split(["a", "b", "c"], 0.1, 0.1, 0).values()) == ["test", "train", "val"]
    # A share of nothing stays nothing, and two groups keep what rounding gives.
    assert set(random_split(["a", "b", "c"], 0, 0.1, 0).values()) == {"train", "test"}
    assert set(random_split(["a", "b"], 0.1, 0.1, 0).values()) == {"train"}


def labels_of(n_groups=60, seed=0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"group": np.repeat([f"g{k:02d}" for k in range(n_groups)], 3), "label": "l"})
    table["y"] = (rng.random(len(table)) < 0.2).astype(int)
    table["split"] = np.repeat(rng.permutation(["train"] * 36 + ["val"] * 9 + ["test"] * 15), 3)
    return table


@pytest.mark.parametrize("by", ["official", "random"])
def test_another_split_divides_whole_groups_in_the_same_numbers(by):
    labels = labels_of()
    other = resplit(labels, {"by": by, "val": 0.15, "test": 0.25}, 1)
    assert (other.groupby(labels["group"]).nunique() == 1).all()
    groups = other.groupby(labels["group"]).first()
    assert groups.value_counts().to_dict() == {"train": 36, "val": 9, "test": 15}
    assert ((other == "test") == (labels["split"] == "test")).all() == (by == "official")
    assert (other != labels["split"]).any()
    assert not other.equals(resplit(labels, {"by": by, "val": 0.15, "test": 0.25}, 2))
    # Every split has its share of the rare class.
    rare = labels["y"].groupby(other).mean()
    assert rare.max() - rare.min() < 0.07


def test_a_share_of_the_training_images_has_that_share_of_the_rare_class():
    labels = labels_of()
    kept = share_of_training(labels, labels["split"], 0.5, 0)
    training = labels[labels["split"] == "train"]
    assert len(kept) == 18
    assert set(kept) <= set(training["group"])
    chosen = training["group"].isin(kept)
    assert abs(training.loc[chosen, "y"].sum() - training["y"].sum() / 2) <= 1
