"""Labels and splits."""

import numpy as np
import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.stimuli.splits import official_split, random_split
from layerwise.stimuli.tasks import build_task

ENTRY = {"min_per_class": 1, "split": {"by": "random", "val": 0.25, "test": 0.25}}


def provenance(n_images: int = 40, labels=("mismatch", "match"), parts=("all",), column="label:match") -> pd.DataFrame:
    rows = [(f"{i}-{label}", str(i), str(i), parts[i % len(parts)], label) for i in range(n_images) for label in labels]
    return pd.DataFrame(rows, columns=["item_id", "image_id", "group", "part", column])


def test_images_are_split_not_items():
    labels, description = build_task(provenance(), "coco-entailment", ENTRY, seed=0)
    assert labels.groupby("image_id")["split"].nunique().eq(1).all()
    assert {split: size["images"] for split, size in description["sizes"].items()} == {
        "train": 20,
        "val": 10,
        "test": 10,
    }
    assert description["kind"] == "binary"
    assert description["classes"] == ["mismatch", "match"]
    assert set(labels.loc[labels["item_id"].str.endswith("mismatch"), "y"]) == {0}


def test_split_seed_changes_the_split_and_nothing_else():
    first, _ = build_task(provenance(), "coco-entailment", ENTRY, seed=0)
    again, _ = build_task(provenance(), "coco-entailment", ENTRY, seed=0)
    other, _ = build_task(provenance(), "coco-entailment", ENTRY | {"split": ENTRY["split"] | {"seed": 5}}, seed=0)
    assert first.equals(again)
    assert not first["split"].equals(other["split"])
    assert first.drop(columns="split").equals(other.drop(columns="split"))


def test_official_parts():
    parts = pd.Series({"a": "train2017", "b": "train2017", "c": "train2017", "d": "train2017", "e": "val2017"})
    split = official_split(parts, val=0.25, seed=0)
    assert split["e"] == "test"
    assert sorted(split[k] for k in "abcd") == ["train", "train", "train", "val"]
    own = official_split(pd.Series({"a": "train", "b": "dev", "c": "test"}), val=0.25, seed=0)
    assert own == {"a": "train", "b": "val", "c": "test"}
    with pytest.raises(InputError, match="does not know the part 'train2014'"):
        official_split(pd.Series({"a": "train2014", "b": "val2017"}), val=0.25, seed=0)
    with pytest.raises(InputError, match="needs images from a test part"):
        official_split(pd.Series({"a": "train2017"}), val=0.25, seed=0)


def test_further_seeds_are_further_columns():
    entry = ENTRY | {"split": ENTRY["split"] | {"seeds": [5, 6]}}
    labels, _ = build_task(provenance(), "coco-entailment", entry, seed=0)
    first, _ = build_task(provenance(), "coco-entailment", ENTRY, seed=0)
    other, _ = build_task(provenance(), "coco-entailment", ENTRY | {"split": ENTRY["split"] | {"seed": 5}}, seed=0)
    assert labels.drop(columns=["split:5", "split:6"]).equals(first)
    assert labels["split:5"].tolist() == other["split"].tolist()
    assert not labels["split:5"].equals(labels["split:6"])


def test_a_further_seed_that_leaves_a_split_without_a_class_is_refused():
    rare = provenance()
    column = next(name for name in rare if name.startswith("label:"))
    groups = rare["group"].unique()
    # One class in three groups only: each seed that puts none of them into some split fails.
    classes = rare[column].unique()
    rare[column] = np.where(rare["group"].isin(groups[:3]), classes[0], classes[1])
    with pytest.raises(InputError, match=r"split\.seeds: with the seed \d+ the label .* lacks a class in"):
        build_task(
            rare, "coco-entailment", ENTRY | {"min_per_class": 0, "split": ENTRY["split"] | {"seeds": [*range(20)]}}, 0
        )


def test_random_split_does_not_depend_on_order():
    groups = [str(i) for i in range(20)]
    assert random_split(groups, 0.2, 0.3, seed=4) == random_split(groups[::-1], 0.2, 0.3, seed=4)


def test_classes_can_be_left_out():
    table = provenance(labels=("entailment", "neutral", "contradiction"), column="label:gold_label")
    labels, description = build_task(table, "snli-ve", ENTRY, seed=0)
    assert description["kind"] == "multiclass"
    assert description["classes"] == ["contradiction", "neutral", "entailment"]
    binary, description = build_task(table, "snli-ve", ENTRY | {"classes": ["contradiction", "entailment"]}, seed=0)
    assert description["kind"] == "binary"
    assert description["dropped_items"] == 40
    assert not binary["item_id"].str.contains("neutral").any()
    # The same images stay in the same splits.
    both = labels.merge(binary, on="item_id")
    assert (both["split_x"] == both["split_y"]).all()
    with pytest.raises(InputError, match="no class 'maybe'"):
        build_task(table, "snli-ve", ENTRY | {"classes": ["maybe", "neutral"]}, seed=0)


def objects() -> pd.DataFrame:
    common = provenance(labels=("absent", "present"), column="label:presence").assign(category="cat")
    rare = common[common["image_id"].astype(int) < 2].assign(category="zebra", item_id=lambda t: t["item_id"] + "z")
    return pd.concat([common, rare], ignore_index=True)


def test_rare_categories_are_left_out_and_listed():
    labels, description = build_task(objects(), "coco-objects", ENTRY | {"min_per_class": 3}, seed=0)
    assert description["labels"] == ["cat"]
    assert set(labels["label"]) == {"cat"}
    assert [entry["label"] for entry in description["excluded"]] == ["zebra"]
    assert "fewer than 3 items" in description["excluded"][0]["reason"]
    assert description["balance"]["cat"]["test"] == {"absent": 10, "present": 10}
    with pytest.raises(InputError, match="no label has 30 items"):
        build_task(objects(), "coco-objects", ENTRY | {"min_per_class": 30}, seed=0)


def test_categories_without_a_pair_are_listed_too():
    _, description = build_task(objects(), "coco-objects", ENTRY, seed=0, categories=["cat", "dog", "zebra"])
    assert "dog" in [entry["label"] for entry in description["excluded"]]


def test_labels_can_be_chosen():
    _, description = build_task(
        objects(), "coco-objects", ENTRY | {"labels": ["cat"]}, seed=0, categories=["cat", "zebra"]
    )
    assert description["labels"] == ["cat"]
    with pytest.raises(InputError, match="no label 'dog'; the stimuli have cat, zebra"):
        build_task(objects(), "coco-objects", ENTRY | {"labels": ["dog"]}, seed=0)


def test_own_label_columns():
    table = provenance(labels=("0", "1"), column="label:wet")
    table["label:cold"] = ["0", "0", "1", "1"] * 20
    labels, description = build_task(table, "table", ENTRY, seed=0)
    assert description["kind"] == "multilabel"
    assert description["labels"] == ["wet", "cold"]
    assert len(labels) == 2 * len(table)
    table["label:kind"] = ["a", "b", "c", "d"] * 20
    _, description = build_task(table, "table", ENTRY | {"labels": ["wet"]}, seed=0)
    assert (description["labels"], description["classes"]) == (["wet"], ["0", "1"])
    table = table.drop(columns="label:kind")
    table["label:cold"] = ["a", "b", "c", "d"] * 20
    with pytest.raises(InputError, match="must share the same two classes"):
        build_task(table, "table", ENTRY, seed=0)
    with pytest.raises(InputError, match="every label is '0'"):
        build_task(provenance(labels=("0",), column="label:wet"), "table", ENTRY, seed=0)
