"""Labels and splits."""

import numpy as np
import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.stimuli.parts import official_parts
from layerwise.tasks.labels import build_task
from layerwise.tasks.splits import official_split, random_split

ENTRY = {"min_per_class": 1, "split": {"by": "random", "val": 0.25, "test": 0.25}}
OFFICIAL = official_parts("coco-objects")


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
    split = official_split(parts, OFFICIAL, val=0.25, seed=0)
    assert split["e"] == "test"
    assert sorted(split[k] for k in "abcd") == ["train", "train", "train", "val"]
    own = official_split(pd.Series({"a": "train", "b": "dev", "c": "test"}), OFFICIAL, val=0.25, seed=0)
    assert own == {"a": "train", "b": "val", "c": "test"}
    with pytest.raises(InputError, match="does not know the part 'train2014'"):
        official_split(pd.Series({"a": "train2014", "b": "val2017"}), OFFICIAL, val=0.25, seed=0)
    with pytest.raises(InputError, match="needs images from a test part"):
        official_split(pd.Series({"a": "train2017"}), OFFICIAL, val=0.25, seed=0)


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
    # One class in two groups only, which cannot be in three splits.
    classes = rare[column].unique()
    rare[column] = np.where(rare["group"].isin(groups[:2]), classes[0], classes[1])
    with pytest.raises(InputError, match=r"split\.seeds: with the seed \d+ the label .* lacks a class in"):
        build_task(
            rare, "coco-entailment", ENTRY | {"min_per_class": 0, "split": ENTRY["split"] | {"seeds": [*range(20)]}}, 0
        )


def test_random_split_does_not_depend_on_order():
    groups = [str(i) for i in range(20)]
    assert random_split(groups, 0.2, 0.3, seed=4) == random_split(groups[::-1], 0.2, 0.3, seed=4)


def test_small_random_splits_have_their_share_of_every_class():
    """60 pictures, one item each: by chance alone every third seed gives a validation split less than 5 of a class."""
    table = provenance(60, labels=("",), column="label:rising")
    table["label:rising"] = ["falling", "rising"] * 30
    entry = {"min_per_class": 5, "split": {"by": "random", "val": 0.2, "test": 0.25, "seeds": [100]}}
    seen = set()
    for seed in range(8):
        labels, description = build_task(table, "table", entry, seed)
        assert {split: size["groups"] for split, size in description["sizes"].items()} == {
            "train": 33,
            "val": 12,
            "test": 15,
        }
        for column in ("split", "split:100"):
            counts = pd.crosstab(labels[column], labels["y"])
            assert (abs(counts[0] - counts[1]) <= 1).all()
        seen.add("".join(labels["split"].str[1]))
    assert len(seen) == 8


def test_splits_are_balanced_over_labels_and_whole_groups():
    """Groups of 1 to 4 items, two labels: the less frequent class of each is near its share, as by chance it is not."""
    rng = np.random.default_rng(0)
    group = [f"g{i}" for i in np.repeat(range(200), rng.integers(1, 5, 200))]
    table = pd.DataFrame({"item_id": [f"i{i}" for i in range(len(group))], "image_id": group, "group": group})
    table["part"] = "all"
    table["label:often"] = rng.choice(["0", "1"], len(table), p=[0.6, 0.4])
    table["label:seldom"] = rng.choice(["0", "1"], len(table), p=[0.94, 0.06])
    wanted = pd.Series({"train": 0.5, "val": 0.25, "test": 0.25})

    def off(labels: pd.DataFrame) -> pd.DataFrame:
        """Items too many or too few, by label and class."""
        counts = labels.groupby(["label", "y"])["split"].value_counts().unstack(fill_value=0)[wanted.index]
        return abs(counts - np.outer(counts.sum(axis=1), wanted)).max(axis=1)

    balanced, plain = [], []
    for seed in range(5):
        labels, _ = build_task(table, "table", ENTRY, seed)
        assert labels.groupby("group")["split"].nunique().eq(1).all()
        assert labels.groupby("split")["group"].nunique().to_dict() == {"train": 100, "val": 50, "test": 50}
        balanced.append(off(labels))
        chance = random_split(labels["group"].unique(), 0.25, 0.25, seed)
        plain.append(off(labels.assign(split=labels["group"].map(chance))))
    off_by, by_chance = (pd.concat(found, axis=1).xs(1, level="y").max(axis=1) for found in (balanced, plain))
    # Items, of 23 and 218.
    assert off_by["seldom"] < 2
    assert off_by["often"] < 4
    assert (by_chance > 2 * off_by).all()


def test_groups_alike_are_divided_by_the_seed_alone():
    """Each image has one item of each class: there is nothing to balance, and the split is the plain one."""
    table = provenance()
    labels, _ = build_task(table, "coco-entailment", ENTRY, seed=4)
    plain = random_split(table["group"].unique(), 0.25, 0.25, seed=4)
    assert (labels["split"] == labels["group"].map(plain)).all()


def test_an_official_training_part_gives_validation_its_share_of_every_class():
    table = provenance(40, labels=("",), parts=("train", "train", "train", "test"), column="label:x")
    table["label:x"] = np.where(np.arange(40) % 10 < 2, "rare", "often")
    entry = {"min_per_class": 1, "split": {"by": "official", "val": 0.5}}
    for seed in range(3):
        _, description = build_task(table, "table", entry, seed)
        assert description["balance"]["x"]["val"]["rare"] == description["balance"]["x"]["train"]["rare"]


def test_tasks_over_the_same_stimuli_share_their_splits():
    table = provenance(90, labels=("",), column="label:gold_label")
    table["label:gold_label"] = ["entailment", "neutral", "contradiction"] * 30
    table = table.sample(80, random_state=0)
    whole, _ = build_task(table, "snli-ve", ENTRY, seed=0)
    binary, _ = build_task(table, "snli-ve", ENTRY | {"classes": ["contradiction", "entailment"]}, seed=0)
    both = whole.merge(binary, on="item_id")
    assert len(both) == len(binary)
    assert (both["split_x"] == both["split_y"]).all()


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


def test_a_group_that_joins_everything_is_told():
    table = provenance(labels=("entailment", "contradiction"), column="label:gold_label").assign(group="all")
    with pytest.raises(InputError, match=r"All items are in 1 group \(all\), which no split divides"):
        build_task(table, "snli-ve", ENTRY, seed=0)


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


def test_classes_have_the_order_that_the_stimuli_tell():
    table = provenance(labels=("right", "wrong"), column="label:right")
    assert build_task(table, "table", ENTRY, 0)[1]["classes"] == ["right", "wrong"]
    told = {"right": {"classes": ["wrong", "right"]}, "far": {"unit": "m"}}
    labels, description = build_task(table, "table", ENTRY, 0, described=told)
    assert description["classes"] == ["wrong", "right"]
    # The last one is the positive one.
    assert (labels.set_index("item_id")["y"] == labels["item_id"].str.endswith("right").to_numpy()).all()
    entry = ENTRY | {"classes": ["right", "wrong"]}
    assert build_task(table, "table", entry, 0, described=told)[1]["classes"] == ["right", "wrong"]
    # Two labels that tell different orders have the alphabetical one.
    both = table.assign(**{"label:best": table["label:right"]})
    told["best"] = {"classes": ["right", "wrong"]}
    assert build_task(both, "table", ENTRY, 0, described=told)[1]["classes"] == ["right", "wrong"]
    told["best"] = told["right"]
    assert build_task(both, "table", ENTRY, 0, described=told)[1]["classes"] == ["wrong", "right"]


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
