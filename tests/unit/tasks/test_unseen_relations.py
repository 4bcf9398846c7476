"""Unseen texts of relations that are asked in both orders: what the picture alone tells of seen and unseen ones."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from layerwise.datasets.annotated import AnnotatedPart
from layerwise.stimuli.kinds.coco_relations import build_relations
from layerwise.tasks import labels as task_labels
from layerwise.tasks.labels import build_task
from layerwise.tasks.resplits import resplit
from layerwise.tasks.unseen_texts import SEEN, UNSEEN, numbered_texts

KIND, SEEDS = "coco-relations", range(3)
NAMES = ["arrow", "circle", "cross", "heart", "ring", "star"]
OFFICIAL = {"by": "official", "val": 0.2, "unseen_texts": 0.3}
RANDOM = {"by": "random", "val": 0.2, "test": 0.25, "unseen_texts": 0.3}


def drawn(n, rng):
    """Annotations of n pictures with two to four objects of different categories, their centres anywhere."""
    rows = []
    for image in range(n):
        for name in rng.choice(NAMES, rng.integers(2, 5), replace=False):
            rows.append({"image_id": image, "category": name, "x": rng.random(), "y": rng.random(), "crowd": False})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def relations():
    """Items, their provenance, and the true places of the objects by picture: the centre's x of each category, and 0
    where it has none."""
    rng = np.random.default_rng(0)
    parts, places = {}, []
    for name, n in (("train2017", 600), ("val2017", 200)):
        annotations = drawn(n, rng)
        images = pd.DataFrame({"image_id": range(n), "image": [f"{name}/{image}.png" for image in range(n)]})
        objects = annotations[["image_id", "category"]]
        parts[name] = AnnotatedPart(images, pd.DataFrame(), objects, NAMES, annotations)
        of_part = annotations.assign(
            image_id=f"{name}/" + annotations["image_id"].astype(str), x=annotations["x"] - 0.5
        )
        places.append(of_part.pivot(index="image_id", columns="category", values="x").fillna(0))
    stimuli = build_relations(parts, dict.fromkeys(parts, "all"), 100, 0.1, None, 0)
    items = stimuli.shown.assign(image_sha256=stimuli.shown["image"], text=None, category=None)
    return items, stimuli.provenance, pd.concat(places)


def made(relations, split, seed):
    items, provenance, _ = relations
    entry = {"min_per_class": 1, "split": split, "labels": ["left-right"]}
    labels, _ = build_task(provenance, KIND, entry, seed, texts=numbered_texts(items, seed))
    return labels.merge(items[["item_id", "first", "second"]], on="item_id")


def features(labels, places, pairs):
    """What a reader sees who does not read the order: the places of the two objects, in the order of the alphabet.

    Args:
        labels: whose items are read.
        places: of the objects, by picture.
        pairs: of categories; a pair has dimensions of its own, so that the reader learns each pair by itself.
    """
    found = np.zeros((len(labels), len(pairs), 3))
    for row, item in enumerate(labels.itertuples()):
        one, other = pair = tuple(sorted((item.first, item.second)))
        found[row, pairs.index(pair)] = places.loc[item.image_id, one], places.loc[item.image_id, other], 1
    return found.reshape(len(labels), -1)


def scores_of_places(labels, places):
    """Accuracy of logistic regression on the true places without the text: of seen and of unseen texts."""
    pairs = [(one, other) for place, one in enumerate(NAMES) for other in NAMES[place + 1 :]]
    train = labels[labels["split"] == "train"]
    reader = LogisticRegression(C=10, max_iter=500).fit(features(train, places, pairs), train["y"])
    test = labels[labels["split"] == "test"].copy()
    # One answer for each picture and pair: rounding may differ between equal rows of a product.
    test["pair"] = [" ".join(sorted(pair)) for pair in zip(test["first"], test["second"], strict=True)]
    distinct = test.drop_duplicates(["image_id", "pair"])
    answers = distinct[["image_id", "pair"]].assign(answer=reader.predict(features(distinct, places, pairs)))
    test = test.merge(answers, on=["image_id", "pair"])
    right = (test["answer"] == test["y"]).groupby(test["test_part"]).mean()
    return right[SEEN], right[UNSEEN]


@pytest.mark.parametrize("split", [OFFICIAL, RANDOM], ids=["official", "random"])
def test_the_true_places_without_the_text_are_at_chance_in_both_parts(relations, split, monkeypatch):
    """Exactly: both orders of a picture's pair have the same places, opposite labels and the same part."""
    for seed in SEEDS:
        labels = made(relations, split, seed)
        for part in (SEEN, UNSEEN):
            of_part = labels[labels["test_part"] == part]
            assert len(of_part) > 100
            # Whatever else is read of the pictures: each of them has both labels equally often.
            assert (of_part.groupby("image_id")["y"].mean() == 0.5).all()
        assert scores_of_places(labels, relations[2]) == (0.5, 0.5)
    # If each order is held out by itself, the reader learns the order that is left, and is wrong of the other one.
    monkeypatch.setattr(task_labels, "counterpart_sets", lambda items: {})
    seen, unseen = scores_of_places(made(relations, split, 0), relations[2])
    assert seen > 0.52
    assert unseen < 0.45


@pytest.mark.parametrize("split", [OFFICIAL, RANDOM], ids=["official", "random"])
def test_no_held_out_pair_is_in_training_in_either_order(relations, split):
    for seed in SEEDS:
        labels = made(relations, split | {"seeds": [seed + 100]}, seed)
        pair = pd.Series([frozenset(pair) for pair in zip(labels["first"], labels["second"], strict=True)])
        assert set(pair[labels["test_part"] == UNSEEN])
        assert not set(pair[labels["test_part"] == UNSEEN]) & set(pair[labels["split"].isin(["train", "val"])])
        for of_split in (labels["split"], labels[f"split:{seed + 100}"], resplit(labels, split, seed)):
            held_in = set(pair[of_split.isin(["train", "val"])])
            orders = set(
                labels.loc[of_split.isin(["train", "val"]), ["first", "second"]].itertuples(index=False, name=None)
            )
            # 30 % of 15 pairs, as far as texts in pairs allow: four. The others are in training in both orders.
            assert len(set(pair[of_split == "test"]) - held_in) == 4
            assert {tuple(sorted(pair)) for pair in held_in} <= orders
            assert {tuple(sorted(pair))[::-1] for pair in held_in} <= orders
