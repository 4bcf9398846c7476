"""The embedded world: its formats field by field, the rule behind its labels, and that a seed decides every byte."""

import csv
import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from layerwise.datasets.world import coco, gqa, hypotheses, render, snli_ve
from layerwise.datasets.world.build import make_world
from layerwise.datasets.world.captions import draw_captions
from layerwise.datasets.world.scenes import (
    CELL,
    COLOURS,
    DARK,
    PAINT,
    SHAPES,
    Scene,
    SceneObject,
    draw_crowded_scene,
    draw_scene,
)
from layerwise.datasets.world.statements import LABELS, Exists, Listing, Phrase, Relation, label
from layerwise.errors import InputError


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("world")
    make_world(out, train_images=40, val_images=120, flickr_images=30, seed=7)
    return out


def scenes(number: int, seed: int = 0) -> list[Scene]:
    rng = np.random.default_rng(seed)
    return [draw_scene(rng) for _ in range(number)]


def load(path: Path) -> dict:
    return json.loads(path.read_text())


# A red circle at the upper left, a blue square right of it in the same row, a red star below the circle.
SCENE = Scene(
    (
        SceneObject("circle", "red", 0, 0, 8, 8, 6),
        SceneObject("square", "blue", 2, 0, 40, 8, 6),
        SceneObject("star", "red", 0, 3, 8, 56, 6),
    )
)
# The same in which nobody sees which colour the star has.
DARK_STAR = Scene((*SCENE.objects[:2], SceneObject("star", DARK, 0, 3, 8, 56, 6)))
RED_CIRCLE, BLUE_SQUARE, RED_STAR = Phrase("circle", "red"), Phrase("square", "blue"), Phrase("star", "red")


@pytest.mark.parametrize(
    ("scene", "statement", "expected"),
    [
        (SCENE, Exists(RED_CIRCLE), "entailment"),
        (SCENE, Exists(Phrase("circle", "blue")), "contradiction"),
        (SCENE, Exists(Phrase("ring")), "contradiction"),
        (SCENE, Relation(RED_CIRCLE, "left of", BLUE_SQUARE), "entailment"),
        (SCENE, Relation(BLUE_SQUARE, "right of", RED_CIRCLE), "entailment"),
        (SCENE, Relation(RED_CIRCLE, "right of", BLUE_SQUARE), "contradiction"),
        (SCENE, Relation(RED_CIRCLE, "above", BLUE_SQUARE), "contradiction"),
        (SCENE, Relation(RED_CIRCLE, "above", Phrase("star")), "entailment"),
        (SCENE, Listing((BLUE_SQUARE, RED_CIRCLE), complete=False), "entailment"),
        (SCENE, Listing((BLUE_SQUARE, RED_CIRCLE), complete=True), "contradiction"),
        (SCENE, Listing((RED_CIRCLE, RED_CIRCLE), complete=False), "contradiction"),
        (DARK_STAR, Exists(RED_STAR), "neutral"),
        (DARK_STAR, Exists(Phrase("star")), "entailment"),
        (DARK_STAR, Exists(Phrase(None, "red")), "entailment"),
        (DARK_STAR, Exists(Phrase(None, "green")), "neutral"),
        (DARK_STAR, Exists(Phrase("ring", "green")), "contradiction"),
        (DARK_STAR, Listing((RED_STAR, RED_CIRCLE), complete=False), "neutral"),
        (DARK_STAR, Listing((RED_STAR, Phrase("ring", "red")), complete=False), "contradiction"),
        (DARK_STAR, Relation(RED_CIRCLE, "above", RED_STAR), "neutral"),
        (DARK_STAR, Relation(RED_CIRCLE, "below", RED_STAR), "contradiction"),
        (DARK_STAR, Relation(RED_CIRCLE, "left of", BLUE_SQUARE), "entailment"),
    ],
)
def test_the_rule_labels_a_statement(scene, statement, expected):
    assert label(scene, statement) == expected


def test_a_shape_in_the_dark_has_no_colour_that_would_make_two_objects_alike():
    scene = Scene((SceneObject("star", "red", 0, 0, 8, 8, 6), SceneObject("star", DARK, 1, 0, 24, 8, 6)))
    assert {one.objects[1].colour for one in scene.lit_up()} == set(COLOURS) - {"red"}
    assert label(scene, Listing((RED_STAR, RED_STAR), complete=False)) == "contradiction"


@pytest.mark.parametrize("wanted", LABELS)
@pytest.mark.parametrize("split", hypotheses.SPLIT_STEPS)
def test_drawn_statements_have_the_wanted_label(wanted, split):
    rng = np.random.default_rng(1)
    for _ in range(150):
        scene = hypotheses.draw_dark_scene(split, rng)
        assert label(scene, hypotheses.draw_one(scene, wanted, rng)) == wanted
        for chain in hypotheses.chains(scene, split):
            assert label(scene, hypotheses.draw_pair(chain, wanted, rng)) == wanted
            assert label(scene, hypotheses.draw_relation(scene, chain, wanted, rng)) == wanted


def test_steps_are_divided_among_the_splits():
    """Both ways of a step are of one split, and every phrase is a step of each split from as many others."""
    phrases = [Phrase(shape, colour) for shape in SHAPES for colour in COLOURS]
    partners = Counter((one, hypotheses.split_of(one, other)) for one in phrases for other in phrases)
    assert {split: {partners[one, split] for one in phrases} for split in ("train", "dev", "test")} == {
        "train": {22},
        "dev": {4},
        "test": {4},
    }
    assert all(hypotheses.split_of(a, b) == hypotheses.split_of(b, a) for a in phrases for b in phrases)


def test_crowded_scenes_have_every_shape_in_the_dark_too():
    rng = np.random.default_rng(0)
    drawn = [draw_crowded_scene(rng) for _ in range(200)]
    assert {(item.shape, item.colour) for scene in drawn for item in scene.objects} == {
        (shape, paint) for shape in SHAPES for paint in PAINT
    }
    assert {len(scene.objects) for scene in drawn} == set(range(1, 17))


def test_each_object_lies_in_its_cell_in_its_colour():
    seen = set()
    rng = np.random.default_rng(0)
    dark = [hypotheses.draw_dark_scene("train", rng) for _ in range(200)]
    for scene in [*scenes(400), *dark]:
        assert 1 <= len(scene.objects) <= 4
        picture = render.render(scene)
        covered = np.zeros((64, 64), dtype=bool)
        for item in scene.objects:
            mask = render.mask(item)
            assert mask.sum() == render.area(item) > 20
            cell = mask[item.row * CELL : (item.row + 1) * CELL, item.column * CELL : (item.column + 1) * CELL]
            assert cell.sum() == mask.sum()
            assert (picture[mask] == PAINT[item.colour]).all()
            covered |= mask
            seen.add((item.shape, item.colour))
        assert (picture[~covered] == render.BACKGROUND).all()
        cells = [(item.row, item.column) for item in scene.objects]
        assert cells == sorted(set(cells))
    assert len(seen) == len(SHAPES) * len(PAINT)


def test_outlines_follow_the_drawn_pixels():
    for shape in SHAPES:
        for radius in (5, 6, 7):
            item = SceneObject(shape, "red", 1, 1, 24, 24, radius)
            points = render.outline(item)
            # Drawn ten times as large, so that the polygon's own area is what is compared.
            image = Image.new("1", (640, 640))
            ImageDraw.Draw(image).polygon([10 * v for v in points], fill=1)
            polygon = np.asarray(image, dtype=float).reshape(64, 10, 64, 10).mean((1, 3))
            mask = render.mask(item)
            overlap = np.minimum(polygon, mask).sum() / np.maximum(polygon, mask).sum()
            assert overlap > (0.55 if shape == "star" else 0.7), (
                shape,
                radius,
                overlap,
            )  # thin points cover whole pixels


def test_instances_are_in_cocos_format(world):
    for split, first, number in (("train", 1, 40), ("val", 41, 120)):
        instances = load(world / f"coco/annotations/instances_{split}2017.json")
        assert list(instances) == ["info", "licenses", "images", "annotations", "categories"]
        assert set(instances["info"]) == {"description", "url", "version", "year", "contributor", "date_created"}
        assert [image["id"] for image in instances["images"]] == list(range(first, first + number))
        for image in instances["images"]:
            assert set(image) == {
                *("license", "file_name", "coco_url", "height", "width", "date_captured", "flickr_url", "id")
            }
            assert image["file_name"] == f"{image['id']:012d}.jpg"
            with Image.open(world / f"coco/{split}2017" / image["file_name"]) as picture:
                assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 64))
        ids = [category["id"] for category in instances["categories"]]
        assert len(ids) == 8
        assert ids != list(range(min(ids), max(ids) + 1))
        assert all(set(category) == {"supercategory", "id", "name"} for category in instances["categories"])
        for entry in instances["annotations"]:
            assert set(entry) == {
                *("segmentation", "area", "iscrowd", "image_id", "bbox", "category_id", "id", "attributes")
            }
            assert set(entry["attributes"]) == {"colour"}
            assert entry["category_id"] in ids
            assert entry["iscrowd"] == 0
            assert all(isinstance(v, float) for v in [entry["area"], *entry["bbox"], *entry["segmentation"][0]])
            assert len(entry["segmentation"][0]) % 2 == 0
        assert {entry["image_id"] for entry in instances["annotations"]} == set(range(first, first + number))


def test_boxes_and_areas_are_of_the_saved_pixels(world):
    instances = load(world / "coco/annotations/instances_val2017.json")
    names = {category["id"]: category["name"] for category in instances["categories"]}
    filled = 0
    for entry in instances["annotations"]:
        picture = np.asarray(Image.open(world / "coco/val2017" / f"{entry['image_id']:012d}.jpg"), dtype=int)
        x, y, w, h = (int(v) for v in entry["bbox"])
        different = (np.abs(picture[y : y + h, x : x + w] - render.BACKGROUND) > 60).any(-1)
        edges = (different[0], different[-1], different[:, 0], different[:, -1])
        assert all(edge.any() for edge in edges)
        assert different.sum() == pytest.approx(entry["area"], abs=0.1 * w * h)
        filled += names[entry["category_id"]] == "square" and entry["area"] == w * h
    assert filled > 0


def test_annotation_ids_are_unique_over_both_splits(world):
    for kind in ("instances", "captions"):
        ids = [
            entry["id"]
            for split in ("train", "val")
            for entry in load(world / f"coco/annotations/{kind}_{split}2017.json")["annotations"]
        ]
        assert len(ids) == len(set(ids))


def test_five_captions_an_image_the_first_in_reading_order(world):
    captions = load(world / "coco/annotations/captions_train2017.json")
    assert list(captions) == ["info", "licenses", "images", "annotations"]
    assert all(set(entry) == {"image_id", "id", "caption"} for entry in captions["annotations"])
    by_image: dict[int, list[str]] = {}
    for entry in captions["annotations"]:
        by_image.setdefault(entry["image_id"], []).append(entry["caption"])
    assert {len(set(texts)) for texts in by_image.values()} == {5}
    instances = load(world / "coco/annotations/instances_train2017.json")
    names = {category["id"]: category["name"] for category in instances["categories"]}
    for image_id, texts in by_image.items():
        there = [names[e["category_id"]] for e in instances["annotations"] if e["image_id"] == image_id]
        words = [[word.strip(".,") for word in text.split()] for text in texts]
        assert [word for word in words[0] if word in SHAPES] == there
        if len(there) > 1:
            assert all(sum(word in SHAPES for word in caption) >= 2 for caption in words)


def test_every_caption_is_true_of_its_scene():
    rng = np.random.default_rng(2)
    dark = [hypotheses.draw_dark_scene("train", rng) for _ in range(100)]
    for scene in [*scenes(200), *dark]:
        assert all(caption.statement.shown(scene) for caption in draw_captions(scene, rng))


def test_snli_ve_lines_have_its_fields_and_balanced_labels(world):
    ids: dict[str, set[str]] = {}
    for split in ("train", "dev", "test"):
        lines = [json.loads(line) for line in (world / f"snli_ve/snli_ve_{split}.jsonl").read_text().splitlines()]
        for line in lines:
            assert set(line) == {
                *("Flickr30K_ID", "annotator_labels", "captionID", "gold_label", "pairID", "sentence1", "sentence2")
            }
            assert line["captionID"].startswith(f"{line['Flickr30K_ID']}.jpg#")
            assert line["pairID"] == f"{line['captionID']}r1{line['gold_label'][0]}"
            assert line["annotator_labels"] == [line["gold_label"]]
            assert (world / "snli_ve/flickr30k_images" / f"{line['Flickr30K_ID']}.jpg").is_file()
        counts = Counter((line["Flickr30K_ID"], line["gold_label"]) for line in lines)
        assert set(counts.values()) == {2}
        assert len({line["pairID"] for line in lines}) == len(lines)
        assert len({(line["Flickr30K_ID"], line["sentence2"]) for line in lines}) == len(lines)
        ids[split] = {line["Flickr30K_ID"] for line in lines}
    assert {split: len(found) for split, found in ids.items()} == {"train": 24, "dev": 3, "test": 3}
    assert len(set.union(*ids.values())) == 30


def test_an_article_suits_its_word():
    assert Phrase("ring", "orange").with_article() == "an orange ring"
    assert Phrase("ring", DARK).with_article() == "a dark ring"


REAL_COLUMNS = {
    "QueryAttr": "question_id,img_id,question,answer,central object name,central object id,question word,type_detailed,"
    "type_semantic,type_structural,operations,captions,image_w,image_h,central object w,central object h,"
    "central object x,central object y",
    "ChooseRel": "question_id,img_id,question,answer,true option,false option,object1 name,object1 id,object2 name,"
    "object2 id,type_detailed,type_semantic,type_structural,operations,captions,image_w,image_h,object1 w,object1 h,"
    "object1 x,object1 y,object2 w,object2 h,object2 x,object2 y",
    "CompareAttr": "question_id,img_id,question,answer,object1 name,object1 id,object2 name,object2 id,question word,"
    "type_detailed,type_semantic,type_structural,operations,captions,image_w,image_h,object1 w,object1 h,object1 x,"
    "object1 y,object2 w,object2 h,object2 x,object2 y",
    "ChooseCat": "question_id,img_id,question,answer,true option,false option,central object name,central object id,"
    "type_detailed,type_semantic,type_structural,operations,captions,image_w,image_h,central object w,"
    "central object h,central object x,central object y",
    "ChooseAttr": "question_id,img_id,question,answer,true option,false option,central object name,central object id,"
    "central object attributes,central object question attribute,all objects,all objects attributes,type_detailed,"
    "type_semantic,type_structural,operations,operation_1,operation_2,captions,image_w,image_h,central object w,"
    "central object h,central object x,central object y,full answer",
}
REAL_COLUMNS["LogicalObj"] = REAL_COLUMNS["CompareAttr"]


@pytest.mark.parametrize("kind", list(gqa.TABLES))
def test_question_tables_have_gqas_columns_and_true_boxes(world, kind):
    with open(world / "gqa" / gqa.TABLES[kind], newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == REAL_COLUMNS[kind].split(",")
    instances = load(world / "coco/annotations/instances_val2017.json")["annotations"]
    boxes = {(str(e["image_id"]), str(e["id"])): [str(int(v)) for v in e["bbox"]] for e in instances}
    assert len({row["question_id"] for row in rows}) == len(rows) > 10
    places = ("object1", "object2") if "object1 id" in rows[0] else ("central object",)
    for row in rows:
        assert (row["image_w"], row["image_h"]) == ("64", "64")
        if "true option" in row:
            assert row["answer"] == row["true option"]
            assert row["false option"] in row["question"]
        for place in places:
            box = [row[f"{place} {side}"] for side in "xywh"]
            if row[f"{place} id"] == "-":
                assert kind == "LogicalObj"
                assert box == ["-"] * 4
            else:
                assert boxes[row["img_id"], row[f"{place} id"]] == box
    assert len({row["answer"] for row in rows}) >= 2


def test_gqa_answers_are_true_of_the_scene():
    rng = np.random.default_rng(3)
    for scene in scenes(300):
        relation = gqa.ask("ChooseRel", scene, rng)
        if relation is not None:
            (_, reference), (_, subject) = relation.objects
            assert relation.answer == ("left" if subject.column < reference.column else "right")
        compared = gqa.ask("CompareAttr", scene, rng)
        if compared is not None:
            (_, one), (_, other) = compared.objects
            halves = {item.column < 2 for item in (one, other)}
            assert (one.colour == other.colour, len(halves) == 1) == (
                (True, False) if compared.answer == "color" else (False, True)
            )
        logical = gqa.ask("LogicalObj", scene, rng)
        if logical is not None:
            named = {name for name, _ in logical.objects}
            colour = logical.question.rstrip("?").split()[-1]
            kept = [item for item in scene.objects if item.shape in named]
            wanted = any((item.colour == colour) != (" not " in logical.question) for item in kept)
            assert logical.answer == ("yes" if wanted else "no")


def test_a_scene_without_a_name_for_any_object_has_no_question():
    pairs = [("circle", "red"), ("circle", "blue"), ("square", "red"), ("square", "blue")]
    scene = Scene(tuple(SceneObject(s, c, i, 0, 16 * i + 8, 8, 6) for i, (s, c) in enumerate(pairs)))
    assert [gqa.ask(kind, scene, np.random.default_rng(0)) for kind in gqa.TABLES] == [None] * 6


def test_a_seed_decides_every_byte(world, tmp_path):
    def digests(folder: Path) -> dict[str, str]:
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}

    make_world(tmp_path / "same", 40, 120, 30, seed=7)
    make_world(tmp_path / "other", 40, 120, 30, seed=8)
    assert digests(tmp_path / "same") == digests(world)
    other = digests(tmp_path / "other")
    assert other["coco/val2017/000000000041.jpg"] != digests(world)["coco/val2017/000000000041.jpg"]


def test_world_json_names_counts_and_checksums(world):
    content = load(world / "world.json")
    assert content["seed"] == 7
    assert content["counts"]["coco/val2017"] == 120
    assert content["counts"]["snli_ve/snli_ve_train.jsonl"] == 24 * 6
    assert len(content["sha256"]) == 4 + 3 + 6
    for name, digest in content["sha256"].items():
        assert hashlib.sha256((world / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("numbers", [(0, 1, 3), (1, 0, 3), (1, 1, 2), (1, -5, 3)])
def test_too_few_images_are_the_users_error(tmp_path, numbers):
    with pytest.raises(InputError, match="images"):
        make_world(tmp_path, *numbers, seed=0)
    with pytest.raises(InputError, match="seed"):
        make_world(tmp_path, 1, 1, 3, seed=-1)
    assert not list(tmp_path.iterdir())


def test_the_smallest_world_has_all_splits(tmp_path):
    counts = make_world(tmp_path, 1, 1, 3, seed=0)["counts"]
    assert [counts[f"snli_ve/snli_ve_{split}.jsonl"] for split in ("train", "dev", "test")] == [6, 6, 6]


def test_category_ids_are_in_every_reader_s_reach():
    assert set(coco.CATEGORY_IDS) == set(SHAPES) == set(coco.SUPERCATEGORIES)
    assert snli_ve.TRIPLETS_PER_IMAGE == 2
