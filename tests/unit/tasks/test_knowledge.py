"""Labels from annotated objects: against plain JSON, at the borders, and how bad annotations are named."""

import json
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from layerwise.datasets import coco
from layerwise.datasets.annotated import check_measured
from layerwise.errors import InputError
from layerwise.stimuli.building import Sources
from layerwise.stimuli.items import items_digest
from layerwise.stimuli.making import build_stimuli, read_entry
from layerwise.stimuli.prompts import render_prompts
from layerwise.stimuli.relations import RELATIONS, related_pairs
from layerwise.tasks.labels import build_task
from tests.faults.reliability import fault
from tests.items import finished

EVERY = {"dataset": "shapes", "images": {"train2017": "all", "val2017": "all"}}
OBJECTS = {"kind": "coco-objects", "pairs_per_category": 400} | EVERY
PAIRS = {"kind": "coco-relations", "images_per_pair": 40, "margin": 0.1} | EVERY
ENTRY = {"min_per_class": 1, "split": {"by": "official", "val": 0.2, "test": 0.25}}
SIDE = 64


@pytest.fixture(scope="module")
def raw(world):
    """By image id as stimuli have it, its annotations as they lie in the file, with category names."""
    images = {}
    for part in ("train2017", "val2017"):
        content = json.loads((world / f"coco/annotations/instances_{part}.json").read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        for entry in content["annotations"]:
            images.setdefault(f"{part}/{entry['image_id']}", []).append(entry | {"name": names[entry["category_id"]]})
    return images


@pytest.fixture(scope="module")
def objects(world):
    return build_stimuli(read_entry(OBJECTS), Sources("coco", str(world / "coco/annotations"), str(world / "coco")), 0)[
        0
    ]


@pytest.fixture(scope="module")
def relations(world):
    return build_stimuli(read_entry(PAIRS), Sources("coco", str(world / "coco/annotations"), str(world / "coco")), 0)[0]


def task(stimuli, **knowledge):
    return build_task(
        stimuli.provenance, "coco-objects", ENTRY | {"knowledge": knowledge}, 0, stimuli.categories, stimuli.objects
    )


def classes_of(labels, description):
    return labels.assign(name=np.take(description["classes"], labels["y"]))


def test_count_is_that_of_the_file(objects, raw):
    labels, description = task(objects, about="count", bins=[1, 2, 3, 4])
    assert description["classes"] == ["1", "2", "3", "4 or more"]
    assert description["kind"] == "multiclass"
    assert len(labels) == len(objects.provenance)
    for row in labels.itertuples():
        assert row.y == len(raw[row.image_id]) - 1


def test_the_largest_object_is_that_of_the_file(objects, raw):
    limits = [0.0, 0.02, 0.03]
    labels, description = task(objects, about="largest-size", bins=limits)
    assert description["classes"] == ["0 to 0.02", "0.02 to 0.03", "0.03 or more"]
    for row in labels.itertuples():
        largest = max(entry["area"] for entry in raw[row.image_id]) / SIDE**2
        assert row.y == sum(largest >= limit for limit in limits) - 1


def test_attributes_are_those_of_the_file(objects, raw):
    labels, description = task(objects, about="attributes", attribute="colour")
    assert description["labels"] == ["blue", "green", "orange", "purple", "red", "yellow"]
    assert description["classes"] == ["absent", "present"]
    for row in labels.itertuples():
        assert row.y == any(entry["attributes"]["colour"] == row.label for entry in raw[row.image_id])


def test_the_asked_object_has_the_attribute_of_the_file(objects, raw):
    labels, description = task(objects, about="asked-attribute", attribute="colour")
    found = classes_of(labels, description).set_index("item_id")["name"].to_dict()
    expected = {}
    for item in objects.provenance.itertuples():
        asked = [entry for entry in raw[item.image_id] if entry["name"] == item.category]
        if len(asked) == 1:
            expected[item.item_id] = asked[0]["attributes"]["colour"]
    assert found == expected
    assert description["dropped_items"] == len(objects.provenance) - len(expected)


def stands(first: dict, second: dict, relation: str) -> str | None:
    """The relation of two annotations by their boxes, worked out in pixels."""
    at, classes = {"left-right": (0, ("left", "right")), "above-below": (1, ("above", "below"))}[relation]
    apart = (second["bbox"][at] + second["bbox"][at + 2] / 2) - (first["bbox"][at] + first["bbox"][at + 2] / 2)
    return None if abs(apart) <= 0.1 * SIDE else classes[apart < 0]


@pytest.mark.parametrize("relation", list(RELATIONS))
def test_relations_per_pair_are_those_of_the_file(objects, raw, relation):
    entry = ENTRY | {"knowledge": {"about": relation, "margin": 0.1}, "min_per_class": 0}
    labels, description = build_task(objects.provenance, "coco-objects", entry, 0, objects.categories, objects.objects)
    table = classes_of(labels, description)
    found = dict(zip(zip(table["image_id"], table["label"], strict=True), table["name"], strict=True))
    expected = {}
    for image in set(objects.provenance["image_id"]):
        named = Counter(entry["name"] for entry in raw[image])
        alone = sorted((e for e in raw[image] if named[e["name"]] == 1), key=lambda e: e["name"])
        for i, first in enumerate(alone):
            for second in alone[i + 1 :]:
                if stand := stands(first, second, relation):
                    expected[image, f"{first['name']}, {second['name']}"] = stand
    assert found == expected
    assert len(expected) > 50


def test_relations_that_are_asked_about_are_those_of_the_file(relations, raw):
    for item, known in zip(relations.shown.itertuples(), relations.provenance.to_dict("records"), strict=True):
        first, second = ([e for e in raw[known["image_id"]] if e["name"] == name] for name in (item.first, item.second))
        assert len(first) == len(second) == 1
        for relation in RELATIONS:
            if not pd.isna(label := known[f"label:{relation}"]):
                assert label == stands(first[0], second[0], relation)


@pytest.mark.parametrize("relation", list(RELATIONS))
def test_neither_text_nor_image_alone_tells_a_relation(relations, relation):
    """Whatever is read of the prompt, or of the image, half of the items are right: in each part, exactly."""
    labels, _ = build_task(relations.provenance, "coco-relations", ENTRY | {"labels": [relation]}, 0)
    items = finished(relations)
    items["prompt"] = render_prompts({"text": "Where is the {first}, seen from the {second}?"}, items, [])
    both = labels.merge(items, on="item_id")
    both["part"] = both["item_id"].str.split("/").str[0]
    assert both["prompt"].nunique() > 10
    for known in (["part", "prompt"], ["image"]):
        best = both.groupby(known)["y"].agg(lambda y: max(y.mean(), 1 - y.mean()))
        assert (best == 0.5).all(), known
    # So no text-only probe is better than chance on the official test split.
    assert both[both["split"] == "test"].groupby("prompt")["y"].mean().eq(0.5).all()


def test_pairs_of_a_relation_are_limited_and_unions_of_both(relations):
    both = relations.shown.assign(part=relations.provenance["part"])
    for relation in RELATIONS:
        labelled = both[relations.provenance[f"label:{relation}"].notna()]
        assert labelled.groupby(["part", "first", "second"]).size().groupby(level=[1, 2]).sum().max() <= 40
    assert relations.provenance[[f"label:{relation}" for relation in RELATIONS]].notna().any(axis=1).all()
    assert items_digest(finished(relations), []) != items_digest(
        finished(relations).rename(columns={"first": "second", "second": "first"}), []
    )


def annotations(*rows, file="instances_x.json") -> pd.DataFrame:
    """Annotations as the reader gives them; a row is image, category, x, y, and what else it says."""
    common = {"area": 0.01, "crowd": False, "attributes": '{"colour": "red"}', "file": file}
    return pd.DataFrame(
        [dict(zip(("image_id", "category", "x", "y"), row[:4], strict=True)) | common | dict(*row[4:]) for row in rows]
    ).assign(record=range(len(rows)))


def test_what_is_no_relation():
    equal = annotations(("equal", "cat", 0.5, 0.2), ("equal", "dog", 0.5, 0.8))
    near = annotations(("near", "cat", 0.5, 0.5), ("near", "dog", 0.59, 0.5))
    far = annotations(("far", "cat", 0.7, 0.5), ("far", "dog", 0.5, 0.5))
    twice = annotations(("twice", "cat", 0.1, 0.5), ("twice", "cat", 0.2, 0.5), ("twice", "dog", 0.9, 0.5))
    crowd = annotations(("crowd", "cat", 0.1, 0.5, {"crowd": True}), ("crowd", "dog", 0.9, 0.5))
    beside = annotations(
        ("beside", "cat", 0.1, 0.5), ("beside", "cat", 0.3, 0.5, {"crowd": True}), ("beside", "dog", 0.9, 0.5)
    )
    every = pd.concat([equal, near, far, twice, crowd, beside], ignore_index=True)
    assert related_pairs(every, "left-right", 0.1).to_dict("records") == [
        {"image_id": "far", "first": "cat", "second": "dog", "class": "right"}
    ]
    assert set(related_pairs(every, "left-right", 0.0)["image_id"]) == {"near", "far"}
    assert related_pairs(equal, "above-below", 0.1)["class"].tolist() == ["above"]


def provenance(*images: str) -> pd.DataFrame:
    return pd.DataFrame({"item_id": images, "image_id": images, "group": images, "part": "all", "category": "cat"})


def binned(numbers, **knowledge):
    """The count task over images a0, a1, ... with so many objects each."""
    images = [f"a{i}" for i in range(len(numbers))]
    found = annotations(*((image, "cat", 0.5, 0.5) for image, n in zip(images, numbers, strict=True) for _ in range(n)))
    entry = {"min_per_class": 0, "split": {"by": "random", "val": 0.25, "test": 0.25}, "knowledge": knowledge}
    return build_task(provenance(*images), "coco-objects", entry, 0, (), found)


def test_bins_are_of_the_training_images_only():
    numbers = list(range(1, 41))
    labels, description = binned(numbers, about="count", bins=4)
    in_training = labels[labels["split"] == "train"]
    assert in_training["y"].value_counts().tolist() == [5] * 4
    # Other numbers in the test change nothing: what is no class of training is no class.
    test = labels.loc[labels["split"] == "test", "item_id"]
    changed = [n + 100 * (f"a{i}" in set(test)) for i, n in enumerate(numbers)]
    assert binned(changed, about="count", bins=4)[1]["classes"] == description["classes"]


def test_names_of_bins_say_their_limits():
    _, description = binned(list(range(10)), about="count", bins=[1, 2, 4, 8])
    assert description["classes"] == ["1", "2 to 3", "4 to 7", "8 or more"]
    # The image with no object lies below the first limit.
    assert description["dropped_items"] == 1


def test_bins_that_do_not_grow_are_refused():
    with pytest.raises(InputError, match=r"knowledge.bins: the lower limits -inf, 1, 1, 2 do not grow; fewer bins"):
        binned([1] * 30 + [2] * 10, about="count", bins=4)
    with pytest.raises(InputError, match=r"the lower limits 3, 2 do not grow"):
        binned([1, 2, 3, 4], about="count", bins=[3, 2])


def test_images_with_a_crowd_have_no_count_but_a_largest_object():
    found = annotations(
        ("a", "cat", 0.5, 0.5, {"area": 0.1}),
        ("a", "dog", 0.5, 0.5, {"area": 0.9, "crowd": True}),
        ("b", "cat", 0.5, 0.5, {"area": 0.2}),
        ("c", "cat", 0.5, 0.5, {"area": 0.3}),
    )
    entry = {"min_per_class": 0, "split": {"by": "random", "val": 0.25, "test": 0.25}}
    count = entry | {"knowledge": {"about": "count", "bins": [1, 2]}}
    labels, _ = build_task(provenance(*"abc"), "coco-objects", count, 0, (), found)
    assert set(labels["item_id"]) == {"b", "c"}
    size = entry | {"knowledge": {"about": "largest-size", "bins": [0.0, 0.15, 0.25, 0.8]}}
    labels, _ = build_task(provenance(*"abc"), "coco-objects", size, 0, (), found)
    assert labels.set_index("item_id")["y"].to_dict() == {"a": 0, "b": 1, "c": 2}


def test_images_with_an_object_of_unknown_attribute_are_left_out():
    found = annotations(
        ("a", "cat", 0.5, 0.5), ("a", "dog", 0.5, 0.5, {"attributes": "{}"}), ("b", "cat", 0.5, 0.5), ("c", "dog", 0, 0)
    ).assign(attributes=lambda t: t["attributes"].where(t["category"] != "dog", '{"colour": null}'))
    entry = {"min_per_class": 0, "split": {"by": "random", "val": 0.25, "test": 0.25}}
    entry["knowledge"] = {"about": "attributes", "attribute": "colour"}
    labels, _ = build_task(provenance(*"abcd"), "coco-objects", entry, 0, (), found)
    # The last image has no object at all, and so none that is red.
    assert labels.set_index("item_id")["y"].to_dict() == {"b": 1, "d": 0}
    entry["knowledge"]["attribute"] = "size"
    with pytest.raises(InputError, match="no annotated object has the attribute 'size'; they have colour"):
        build_task(provenance(*"abcd"), "coco-objects", entry, 0, (), found)


@pytest.fixture
def small_coco(tmp_path):
    """Read four images, each with a person on the left and a dog on the right, with a change."""

    def read(change=lambda content: None):
        boxes = {1: [0, 10, 20, 30], 18: [60, 10, 20, 30]}
        content = {
            "images": [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 50} for i in range(4)],
            "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
            "annotations": [
                {"id": 2 * i + k, "image_id": i, "category_id": c, "bbox": boxes[c], "area": 500.0}
                for i in range(4)
                for k, c in enumerate(boxes)
            ],
        }
        change(content)
        (tmp_path / "instances_val2017.json").write_text(json.dumps(content))
        (tmp_path / "captions_val2017.json").write_text(json.dumps({"annotations": []}))
        return coco.read_part(tmp_path, tmp_path, "val2017").annotations

    return read


def test_boxes_become_shares_of_the_image(small_coco):
    found = small_coco(lambda c: c["annotations"][1].update(iscrowd=1, attributes={"colour": "red"}))
    assert found.loc[0, ["image_id", "category", "x", "y", "area"]].tolist() == [0, "person", 0.1, 0.5, 0.1]
    assert found["crowd"].tolist() == [False, True] + 6 * [False]
    assert json.loads(found.loc[1, "attributes"]) == {"colour": "red"}


@fault(
    "a box or an area is NaN, missing, or not a number",
    sees="if a task needs the box, one error that names file and record; otherwise nothing",
    kept="all finished work, and tasks that need no boxes",
)
@pytest.mark.parametrize(
    "change",
    [
        lambda c: c["annotations"][3].pop("bbox"),
        lambda c: c["annotations"][3].update(bbox=[0, 0, 1]),
        lambda c: c["annotations"][3].update(bbox=[0, 0, -1, 1]),
        lambda c: c["annotations"][3].update(bbox=[math.nan, 0, 1, 1]),
        lambda c: c["annotations"][3].update(bbox=[math.inf, 0, 1, 1]),
        lambda c: c["annotations"][3].update(bbox=[0, "0", 1, 1]),
        lambda c: c["images"][1].pop("width") and c["annotations"][2].update(iscrowd=1),
        lambda c: c["images"][1].update(height=0) and c["annotations"].pop(2),
    ],
)
def test_a_box_that_is_needed_is_complained_about_by_file_and_record(small_coco, change):
    found = small_coco(change)
    needed = found[found["record"] == 3]
    with pytest.raises(InputError, match=r"instances_val2017\.json: record 3 of 'annotations' has no usable 'bbox'"):
        check_measured(needed, "x", "y")
    check_measured(found[found["image_id"] != 1], "x", "y", "area")


def test_relations_and_sizes_need_boxes_but_presence_does_not(small_coco):
    found = small_coco(lambda c: c["annotations"][5].pop("bbox"))
    with pytest.raises(InputError, match=r"record 5 of 'annotations' has no usable 'bbox' \(x, y, width, height"):
        related_pairs(found, "left-right", 0.1)
    found = small_coco(lambda c: c["annotations"][5].update(area=-1.0)).astype({"image_id": str})
    entry = {"min_per_class": 0, "split": {"by": "random", "val": 0.25, "test": 0.25}}
    size = entry | {"knowledge": {"about": "largest-size", "bins": [0, 0.2]}}
    with pytest.raises(InputError, match=r"record 5 of 'annotations' has no usable 'area'"):
        build_task(provenance(*"0123"), "coco-objects", size, 0, (), found)
    # A box of no height has a centre, and real files have some.
    flat = small_coco(lambda c: c["annotations"][5].update(bbox=[60, 10, 20, 0]))
    assert len(related_pairs(flat, "left-right", 0.1)) == 4


def test_attributes_must_be_a_mapping(small_coco):
    with pytest.raises(InputError, match=r"val2017\.json: record 2 of 'annotations' has 'attributes' that are"):
        small_coco(lambda c: c["annotations"][2].update(attributes=["red"]))


def test_items_of_other_kinds_keep_their_digest():
    """As it was before items could ask about two categories: states of older runs stay bound to it."""
    items = {"item_id": ["a", "b"], "image": ["x", "y"], "image_sha256": ["0", "1"], "text": ["t", None]}
    digest = items_digest(pd.DataFrame(items | {"category": [None, "star"]}), ["star"])
    assert digest == "207031e0f982a9c4e35e8570a74913e3027587ebe559d7dcfcc9b67b44381c2c"
