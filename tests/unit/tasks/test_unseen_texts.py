"""Texts that only test items read: what is left out of a split, the parts of the test set, and what is refused."""

import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.probes.problems import make_problems
from layerwise.stimuli.parts import official_parts
from layerwise.tasks.labels import build_task
from layerwise.tasks.resplits import resplit
from layerwise.tasks.unseen_texts import SEEN, UNSEEN, counterpart_sets, left_out, numbered_texts, with_parts

OFFICIAL = {"by": "official", "val": 0.25, "unseen_texts": 0.3}
RANDOM = {"by": "random", "val": 0.25, "test": 0.25, "unseen_texts": 0.3}
KIND = "coco-entailment"
assert official_parts(KIND)["val2017"] == "test"


def some_items(n_images=80, n_texts=10):
    """Two items per image, of opposite classes and with two of the texts."""
    rows = []
    for image in range(n_images):
        for turn, name in enumerate(("match", "mismatch")):
            text = f"text {(image + turn) % n_texts}"
            rows.append((f"{image}-{name}", f"i{image}", text, "val2017" if image % 4 == 0 else "train2017", name))
    table = pd.DataFrame(rows, columns=["item_id", "image_id", "text", "part", "label:match"])
    items = table[["item_id", "text"]].assign(image=table["image_id"], image_sha256=table["image_id"], category=None)
    return items, table.drop(columns="text").assign(group=table["image_id"])


def made(split=OFFICIAL, items=None, **more):
    items, provenance = some_items() if items is None else items
    entry = {"min_per_class": 1, "split": split, **more}
    texts = numbered_texts(items, split.get("seed", 0)) if "unseen_texts" in split else None
    return build_task(provenance, KIND, entry, 0, texts=texts)


def read(labels):
    """The text that each row's item has."""
    return labels["item_id"].map(some_items()[0].set_index("item_id")["text"])


@pytest.mark.parametrize("split", [OFFICIAL, RANDOM])
def test_no_training_or_validation_item_reads_an_unseen_text(split):
    labels, task = made(split)
    without, _ = made({key: value for key, value in split.items() if key != "unseen_texts"})
    texts = read(labels)
    trained, tested = labels["split"].isin(["train", "val"]), labels["split"] == "test"
    unseen = set(texts[labels["test_part"] == UNSEEN])
    # 30 % of ten texts that both sides have.
    assert len(unseen) == 3
    assert not unseen & set(texts[trained])
    assert set(texts[labels["test_part"] == SEEN]) <= set(texts[trained])
    assert labels["test_part"].notna().equals(tested)
    # Groups stay where they are without the key, and so does the test set; only items with these texts are gone.
    kept = labels["split"].notna()
    assert labels.loc[kept, "split"].equals(without.loc[kept, "split"])
    assert set(texts[~kept]) == unseen
    gone = without.loc[~kept, "split"].value_counts()
    assert task["left_out_for_unseen_texts"] == {"train": gone["train"], "val": gone["val"], "texts": 3}
    for name in (SEEN, UNSEEN):
        of_part = labels[labels["test_part"] == name]
        counts = {"items": len(of_part), "groups": of_part["group"].nunique(), "texts": texts[of_part.index].nunique()}
        assert task["test_parts"][name] == counts
    assert task["sizes"]["train"]["items"] == (labels["split"] == "train").sum()
    assert task["balance"]["match"]["val"]["match"] == ((labels["split"] == "val") & (labels["y"] == 1)).sum()


def test_a_task_without_the_key_is_as_before():
    labels, task = made({"by": "official", "val": 0.25})
    assert list(labels) == ["item_id", "image_id", "group", "label", "y", "split"]
    assert not {"test_parts", "left_out_for_unseen_texts"} & set(task)


def test_which_texts_are_held_out_depends_on_the_seed_alone():
    def unseen(split, items=None, **more):
        labels, _ = made(split, items, **more)
        return set(read(labels)[labels["test_part"] == UNSEEN])

    items, provenance = some_items()
    turned = items.iloc[::-1].reset_index(drop=True), provenance.iloc[::-1].reset_index(drop=True)
    assert unseen(OFFICIAL) == unseen(OFFICIAL, turned)
    assert len({frozenset(unseen(OFFICIAL | {"seed": seed})) for seed in range(4)}) > 1


def test_by_hand_only_texts_of_both_sides_are_drawn():
    """Texts 0 and 3 are of the test alone, 1 of training alone; of 2, 4, 5, 6 the lower half is held out."""
    texts = pd.Series([0, 1, 2, 2, 3, 4, 4, 5, 5, 6, 6])
    split = pd.Series(["test", "train", "test", "train", "test", "val", "test", "test", "train", "test", None])
    # The 6 of the last row is left out of this split already, so that text 6 is of the test alone.
    assert left_out(texts, split, 0.5).tolist() == [False] * 3 + [True, False, True] + [False] * 5
    assert left_out(texts, split, 0.1).tolist() == [False] * 3 + [True] + [False] * 7
    assert not left_out(texts, split.where(split != "test"), 0.5).any()


def test_texts_of_one_group_are_unseen_anyway_and_cost_no_item():
    items, provenance = some_items()
    labels, task = made(OFFICIAL, (items.assign(text=items["image"]), provenance))
    assert labels["split"].notna().all()
    assert set(labels["test_part"].dropna()) == {UNSEEN}
    assert task["left_out_for_unseen_texts"] == {"train": 0, "val": 0, "texts": 0}


def test_a_text_is_all_that_prompts_show_of_an_item_but_its_premise():
    items = pd.DataFrame(
        {
            "item_id": list("abcde"),
            "image": list("vwxyz"),
            "image_sha256": list("vwxyz"),
            "text": None,
            "category": None,
        }
        | {"first": ["cat", "dog", "cat", "cat", None], "second": ["dog", "cat", "dog", "dog", "cat"]}
        | {"premise": list("12345")}
    )
    texts = numbered_texts(items, 0)
    assert texts["a"] == texts["c"] == texts["d"]
    assert len({texts["a"], texts["b"], texts["e"]}) == 3


def test_further_seeds_leave_out_their_own_items_and_make_problems_without_them():
    labels, _ = made(RANDOM | {"seeds": [5, 6]})
    texts = read(labels)
    for column in ("split", "split:5", "split:6"):
        held_in = labels[column].isin(["train", "val"])
        assert labels[column].isna().any()
        # As many texts of this split's test items are seen by none of its other items.
        assert texts[labels[column] == "test"].nunique() == 10
        assert len(set(texts[labels[column] == "test"]) - set(texts[held_in])) == 3
    # Some items of the first split's remainder are used by the others.
    assert labels.loc[labels["split"].isna(), "split:5"].notna().any()
    ids = list(labels["item_id"])
    (problem,) = make_problems(labels, ["match"], 2, ids, labels.index.to_numpy())
    assert {name: len(found) for name, found in problem.items.items()} == labels["split"].value_counts().to_dict()


@pytest.mark.parametrize("split", [OFFICIAL, RANDOM])
def test_resplits_hold_out_as_many_texts(split):
    labels, _ = made(split)
    texts, other = read(labels), resplit(labels, split, 3)
    assert len(set(texts[other == "test"]) - set(texts[other.isin(["train", "val"])])) == 3
    assert not other.equals(labels["split"])
    if split is OFFICIAL:
        assert (other == "test").equals(labels["split"] == "test")
        val = [of_split.loc[of_split == "val"].index for of_split in (labels["split"], other)]
        assert len(set(labels.loc[val[1], "group"])) == pytest.approx(len(set(labels.loc[val[0], "group"])), abs=1)


def test_what_leaves_no_text_to_see_is_refused():
    items, provenance = some_items()
    with pytest.raises(InputError, match="all items have the same text, which cannot be both seen and unseen"):
        made(OFFICIAL, (items.assign(text="same"), provenance))
    with pytest.raises(InputError, match="train has no text that may be seen; lower the share"):
        made(OFFICIAL | {"unseen_texts": 0.97})
    # Each of two labels has one text.
    columns = {
        f"label:{name}": provenance["label:match"].where(provenance.index % 2 == odd) for odd, name in enumerate("ab")
    }
    several = provenance.drop(columns="label:match").assign(**columns)
    of_label = items.assign(text=["one", "two"] * 80)
    with pytest.raises(InputError, match="all items of the label 'a' have the same text"):
        made(OFFICIAL, (of_label, several))


def test_by_hand_a_text_is_seen_where_a_probe_of_the_same_label_was_fitted_or_chosen_on_it():
    rows = [
        *[("a", 0, "train"), ("a", 1, "val"), ("a", 2, "train"), ("a", 2, "test"), ("a", 0, "test"), ("a", 1, "test")],
        *[("b", 0, "train"), ("b", 3, "val"), ("b", 1, "test"), ("b", 0, "test")],
    ]
    labels = pd.DataFrame(rows, columns=["label", "text", "split"]).assign(**{"split:5": "train"})
    # The split loses the training item with text 2 of the label a.
    lost = pd.Series([place == 2 for place in range(len(rows))])
    found = with_parts(labels, {"split": lost})
    assert found["test_part"].fillna("").tolist() == ["", "", "", UNSEEN, SEEN, SEEN, "", "", UNSEEN, SEEN]
    assert found["split"].isna().equals(lost)
    assert found["split:5"].equals(labels["split:5"])


def swapped_items(n_pairs=60, n_contrasts=6):
    """Minimal pairs: images A and B with texts a and b, four items each; a few contrasts recur."""
    rows = []
    for pair in range(n_pairs):
        part = "val2017" if pair % 3 == 0 else "train2017"
        for image in (0, 1):
            for which in (0, 1):
                text = f"contrast {pair % n_contrasts}: {which}"
                name = "match" if image == which else "mismatch"
                rows.append((f"{pair}-{image}-{which}", f"i{pair}-{image}", text, part, name, f"g{pair}"))
    table = pd.DataFrame(rows, columns=["item_id", "image_id", "text", "part", "label:match", "group"])
    items = table[["item_id", "text"]].assign(image=table["image_id"], image_sha256=table["image_id"], category=None)
    return items, table.drop(columns="text")


@pytest.mark.parametrize("split", [OFFICIAL, RANDOM | {"seeds": [5, 6]}])
def test_texts_that_pictures_swap_are_held_out_together_so_that_no_picture_tells_its_label(split):
    items, provenance = swapped_items(n_contrasts=5)
    labels, task = made(split, (items, provenance))
    splits = [labels[column] for column in labels if column.startswith("split")]
    for of_split in (*splits, resplit(labels, split, 3)):
        # Five pairs of texts: at most 30 % of ten are two.
        assert 0 < of_split.isna().sum() < len(labels) / 2
        for name in ("train", "val", "test"):
            balance = labels[of_split == name].groupby("image_id")["y"].mean()
            assert (balance == 0.5).all()
    assert {name: part["texts"] for name, part in task["test_parts"].items()} == {SEEN: 8, UNSEEN: 2}
    of_part = labels.dropna(subset="test_part").groupby(["test_part", "image_id"])["y"].mean()
    assert (of_part == 0.5).all()


def test_texts_that_are_all_one_set_are_refused():
    with pytest.raises(
        InputError,
        match=r"no text that may be seen; .*texts with opposite answers about the same pictures are held out",
    ):
        made(OFFICIAL, swapped_items(n_contrasts=1))


def test_by_hand_sets_of_counterparts():
    rows = [
        # Swapped by the images of g: 0 and 1. Of h: 1 and 2, so that the three are one set.
        *[("g", "A", 0, 1), ("g", "A", 1, 0), ("g", "B", 0, 0), ("g", "B", 1, 1)],
        *[("h", "C", 1, 1), ("h", "C", 2, 0), ("h", "D", 1, 0), ("h", "D", 2, 1)],
        # Asked about the same images, each a group of its own: 3 and 4 with opposite answers, 5 with either.
        *[("i", "E", 3, 1), ("i", "E", 4, 0), ("i", "E", 5, 1), ("j", "F", 3, 0), ("j", "F", 4, 1), ("j", "F", 5, 1)],
        # Opposite answers wherever both are asked, but 7 is also asked about another image.
        *[("k", "G", 6, 1), ("k", "G", 7, 0), ("l", "H", 6, 0), ("l", "H", 7, 1), ("m", "I", 7, 1)],
        # The answers differ on one image only.
        *[("n", "J", 8, 1), ("n", "J", 9, 0), ("n", "K", 8, 0), ("n", "K", 9, 0)],
        # Three classes, each once per image.
        *[("o", "L", 10, 0), ("o", "L", 11, 1), ("o", "L", 12, 2)],
        *[("p", "M", 10, 1), ("p", "M", 11, 2), ("p", "M", 12, 0)],
    ]
    items = pd.DataFrame(rows, columns=["group", "image_id", "text", "y"]).assign(label="match")
    together = {0: 0, 1: 0, 2: 0, 3: 3, 4: 3, 10: 10, 11: 10, 12: 10}
    assert counterpart_sets(items) == {text: text for text in range(13)} | together
    # Images that have one label only say nothing of the other.
    other = pd.DataFrame([("q", "N", 3, 1), ("q", "N", 9, 1)], columns=["group", "image_id", "text", "y"])
    both = pd.concat([items, other.assign(label="another")])
    assert counterpart_sets(both) == counterpart_sets(items)


def test_by_hand_a_set_that_exceeds_the_share_is_passed_over_unless_all_do():
    texts = pd.Series([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
    split = pd.Series(["train"] * 5 + ["test"] * 5)
    sets = {0: 0, 1: 0, 2: 0, 3: 3, 4: 3}
    assert texts[left_out(texts, split, 0.4, sets)].tolist() == [3, 4]
    assert texts[left_out(texts, split, 0.6, sets)].tolist() == [0, 1, 2]
    assert texts[left_out(texts, split, 0.2, sets)].tolist() == [3, 4]
