"""Tasks about numbers: against plain JSON, what is left out, and how a study that asks for them is refused."""

import json

import pandas as pd
import pytest

from layerwise.errors import InputError
from layerwise.stimuli.building import Sources
from layerwise.stimuli.making import build_stimuli, read_entry
from layerwise.tasks.numbers import build_number_task

EVERY = {"dataset": "shapes", "images": {"train2017": "all", "val2017": "all"}}
ENTRY = {"min_per_class": 5, "metric": "r2", "split": {"by": "official", "val": 0.2, "test": 0.25}}
SIDE = 64


@pytest.fixture(scope="module")
def objects(world):
    entry = read_entry({"kind": "coco-objects", "pairs_per_category": 400} | EVERY)
    return build_stimuli(entry, Sources("coco", str(world / "coco/annotations"), str(world / "coco")), 0)[0]


@pytest.fixture(scope="module")
def raw(world):
    """By image id as stimuli have it, its annotations as they lie in the file, with category names."""
    images: dict[str, list[dict]] = {}
    for part in ("train2017", "val2017"):
        content = json.loads((world / f"coco/annotations/instances_{part}.json").read_text())
        names = {category["id"]: category["name"] for category in content["categories"]}
        for entry in content["annotations"]:
            images.setdefault(f"{part}/{entry['image_id']}", []).append(entry | {"name": names[entry["category_id"]]})
    return images


def task(stimuli, objects=None, **entry):
    found = stimuli.objects if objects is None else objects
    return build_number_task(stimuli.provenance, "coco-objects", ENTRY | entry, 0, found)


def test_counts_and_areas_are_those_of_the_file(objects, raw):
    for about, measure in (
        ("count", len),
        ("largest-size", lambda entries: max(entry["area"] for entry in entries) / SIDE**2),
    ):
        labels, description = task(objects, knowledge={"about": about, "as": "number"})
        assert len(labels) == len(objects.provenance)
        assert list(labels["y"]) == pytest.approx([measure(raw[image]) for image in labels["image_id"]])
        assert (description["kind"], description["labels"], description["classes"]) == ("regression", [about], [])
        of_test = labels.loc[labels["split"] == "test", "y"]
        assert description["numbers"][about]["test"]["mean"] == pytest.approx(of_test.mean())
        assert description["sizes"]["test"]["items"] == len(of_test)


def test_the_centre_is_that_of_the_asked_object_s_box(objects, raw):
    labels, description = task(objects, knowledge={"about": "asked-centre"})
    asked = objects.provenance.set_index("item_id")["category"]
    expected = []
    for row in labels.itertuples():
        (only,) = (entry for entry in raw[row.image_id] if entry["name"] == asked[row.item_id])
        x, y, width, height = only["bbox"]
        expected.append((x + width / 2) / SIDE if row.label == "x" else (y + height / 2) / SIDE)
    assert list(labels["y"]) == pytest.approx(expected)
    there = sum(
        [entry["name"] for entry in raw[row.image_id]].count(row.category) == 1
        for row in objects.provenance.itertuples()
    )
    assert labels["label"].value_counts().to_dict() == {"x": there, "y": there}
    assert description["dropped_items"] == len(objects.provenance) - there
    assert list(description["units"]) == ["x", "y"]
    only_x, described = task(objects, knowledge={"about": "asked-centre"}, labels=["x"])
    assert (described["labels"], set(only_x["label"])) == (["x"], {"x"})
    with pytest.raises(InputError, match="there is no label 'z'; the labels are x, y"):
        task(objects, knowledge={"about": "asked-centre"}, labels=["z"])


def test_what_cannot_be_learned_is_left_out_with_the_reason(objects):
    count = {"about": "count", "as": "number"}
    with pytest.raises(InputError, match=r"no label can be learned \(count: fewer than 9000 items: \d+ in train"):
        task(objects, knowledge=count, min_per_class=9000)
    alike = objects.objects.drop_duplicates("image_id")
    with pytest.raises(InputError, match=r"count: all numbers are equal in train, val, test\)"):
        task(objects, alike, knowledge=count)


def test_a_box_that_is_needed_is_complained_about_by_file_and_record(objects):
    broken = objects.objects.assign(x=float("nan"))
    with pytest.raises(InputError, match=r"instances_train2017\.json: record 0 of 'annotations' has no usable 'bbox'"):
        task(objects, broken, knowledge={"about": "asked-centre"})
    # An area needs no box.
    labels, _ = task(objects, broken, knowledge={"about": "largest-size", "as": "number"})
    assert isinstance(labels, pd.DataFrame)
