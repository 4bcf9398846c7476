"""Which classes, labels and items correspond when kept probes read other states."""

import numpy as np
import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.probes.carrying import SameClasses, groups_seen, margins_of, same_labels


def labels(items, groups, splits):
    return pd.DataFrame({"item_id": items, "group": groups, "split": splits})


def test_a_picture_under_another_name_is_left_out_with_all_pictures_like_it():
    """The target's pictures b and c are near-equal, and c is one that the source's probe was fitted on."""
    target = labels(["t1", "t2", "t3", "t4"], ["a", "b+c", "b+c", "d"], ["test"] * 4)
    source = labels(["s1", "s2", "s3"], ["x", "y", "z"], ["train", "test", "val"])
    pictures = pd.Series({"t1": "A", "t2": "B", "t3": "C", "t4": "D"})
    assert groups_seen(target, source, pictures, pd.Series({"s1": "C", "s2": "A", "s3": "E"})) == {"b+c"}
    # C, the strength of the penalty, was chosen on the validation split; nothing was learned from the test split.
    assert groups_seen(target, source, pictures, pd.Series({"s1": "X", "s2": "A", "s3": "D"})) == {"d"}


def test_one_of_several_pictures_that_was_seen_is_enough():
    target = labels(["t1", "t2", "t3"], ["a", "b", "c"], ["test"] * 3)
    source = labels(["s1"], ["x"], ["train"])
    pictures = pd.Series({"t1": "A\nB", "t2": "C\nD", "t3": "E\nA"})
    assert groups_seen(target, source, pictures, pd.Series({"s1": "F\nD"})) == {"b"}
    assert groups_seen(target, source, pictures, pd.Series({"s1": "A"})) == {"a", "c"}


def test_items_without_pictures_share_none():
    target, source = labels(["t1"], ["a"], ["test"]), labels(["s1", "s2"], ["x", "y"], ["train", "train"])
    assert not groups_seen(target, source, pd.Series({"t1": ""}), pd.Series({"s1": "", "s2": None}))


def test_margins_of_two_of_three_classes_are_those_of_softmax_over_these():
    margins = np.random.default_rng(0).standard_normal((5, 3))
    chances = np.exp(margins) / np.exp(margins).sum(axis=1, keepdims=True)
    wanted = np.log(chances[:, 0] / chances[:, 2])
    assert margins_of(margins, ["a", "b", "c"], ["c", "a"])[:, 0] == pytest.approx(wanted)
    assert margins_of(margins, ["a", "b", "c"], ["b", "c", "a"]) == pytest.approx(margins[:, [1, 2, 0]])


def test_two_classes_in_the_other_order_turn_the_margin():
    margins = np.array([[1.5], [-2.0]])
    same = SameClasses.of(["mismatch", "match"], ["entailment", "neutral", "contradiction"],
                          {"match": "entailment", "mismatch": "contradiction"})  # fmt: skip
    # In the order of the target's classes.
    assert same == SameClasses(["match", "mismatch"], ["entailment", "contradiction"])
    assert margins_of(margins, ["mismatch", "match"], same.source).tolist() == [[-1.5], [2.0]]
    assert margins_of(margins, ["mismatch", "match"], ["mismatch", "match"]).tolist() == margins.tolist()


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ({"match": "entailment", "wrong": "contradiction"}, "no class 'wrong'"),
        ({"match": "entailment", "mismatch": "wrong"}, "no class 'wrong'"),
        ({"match": "entailment"}, "at least two"),
        ({"match": "entailment", "mismatch": "entailment"}, "another of the other"),
        (None, "name them in carry.tasks"),
    ],
)
def test_classes_that_do_not_correspond_are_refused(classes, said):
    with pytest.raises(InputError, match=said):
        SameClasses.of(["mismatch", "match"], ["contradiction", "entailment"], classes)


def test_each_label_is_read_by_the_probes_of_some_others():
    names = [f"l{k}" for k in range(35)]
    pairs = same_labels("labels", names, names)
    assert len(pairs) == len(set(pairs)) == 35 * 10
    assert all(label != source for label, source in pairs)
    assert {source for _, source in pairs} == set(names)
    few = same_labels("labels", names[:3], names[:3])
    assert sorted(few) == [(a, b) for a in names[:3] for b in names[:3] if a != b]


def test_labels_of_two_tasks_are_matched_by_name_unless_each_has_one():
    assert same_labels("tasks", ["match"], ["gold_label"]) == [("gold_label", "match")]
    assert same_labels("tasks", ["dog", "cat", "cow"], ["cow", "dog", "owl"]) == [("cow", "cow"), ("dog", "dog")]
    with pytest.raises(InputError, match="none is in both tasks"):
        same_labels("tasks", ["match"], ["cow", "dog"])
    with pytest.raises(InputError, match="only one label"):
        same_labels("labels", ["match"], ["match"])
