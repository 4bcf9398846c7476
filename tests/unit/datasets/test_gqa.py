"""Questions of GQA: both of their forms, what is wrong with them, and which are asked."""

import csv
import json
import shutil
import subprocess
import sys
from collections import Counter

import pytest
from PIL import ExifTags, Image

from layerwise.datasets import gqa_sources
from layerwise.datasets.gqa_graphs import GRAPHS, QUESTIONS, read_graphs
from layerwise.datasets.gqa_tables import read_tables
from layerwise.datasets.questions import AskedObject, checked_object
from layerwise.errors import InputError
from layerwise.flow.questions import NO_IMAGE, OTHER_SIZE, TURNED, choose_questions, describe, read_questions, tabulate
from layerwise.gqa_types import TABLES
from tests.conftest import REPOSITORY
from tests.gqa import own_format

KINDS = list(TABLES)
GQA = gqa_sources.QUESTION_SOURCE


@pytest.fixture
def tables(world, tmp_path):
    """A copy of the world's tables, and a way to change one cell of a table's first row."""
    shutil.copytree(world / "gqa", tmp_path / "gqa")

    def change(kind=None, column=None, value=None):
        if kind:
            file = tmp_path / "gqa" / TABLES[kind]
            rows = list(csv.DictReader(file.open(newline="")))
            rows[0][column] = value(rows) if callable(value) else value
            with file.open("w", newline="") as out:
                writer = csv.DictWriter(out, rows[0])
                writer.writeheader()
                writer.writerows(rows)
        return tmp_path / "gqa"

    return change


@pytest.fixture
def graphs(world, tmp_path):
    """GQA's own files, made from the world's tables, and a way to change them."""

    def write(change=lambda questions, graphs: None):
        questions, found = own_format(world / "gqa")
        change(questions, found)
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / QUESTIONS).write_text(json.dumps(questions))
        (tmp_path / "own" / GRAPHS).write_text(json.dumps(found))
        return tmp_path / "own"

    return write


def test_tables_and_gqas_own_files_give_the_same_questions(world, graphs):
    from_tables, from_graphs = read_tables(world / "gqa", KINDS), read_graphs(graphs(), KINDS)
    assert {q.kind for q in from_tables.questions} == set(KINDS)
    assert from_tables.questions == from_graphs.questions
    assert all(not reasons for reasons in from_graphs.left_out.values())


def test_rows_as_gqa_writes_them(tmp_path):
    """Relations and absent objects, whose operations are the least regular."""
    steps = {
        "a": [("select", "trees (1)"), ("choose rel", "building,behind|in front of,s (2)")],
        "b": [
            ("select", "grass (3)"),
            ("filter color", "not(brown)"),
            ("exist", "?"),
            ("select", "mud (-) "),
            ("filter color", "not(brown)"),
            ("exist", "?"),
            ("or", ""),
        ],
        "c": [("select", "face mask (1)"), ("choose color", "white|blue")],
    }
    detailed = {"a": "relChooser", "b": "existThatOrC", "c": "chooseAttr"}
    answers = {"a": "behind", "b": "no", "c": "white"}
    questions = {
        key: {
            "semantic": [
                {"operation": name, "dependencies": [], "argument": argument} for name, argument in steps[key]
            ],
            "question": "?",
            "imageId": "2",
            "answer": answers[key],
            "types": {"detailed": detailed[key]},
        }
        for key in steps
    }
    box = {"x": 1, "y": 2, "w": 3, "h": 4}
    graph = {"2": {"width": 20, "height": 10, "objects": {str(i): box | {"x": i} for i in (1, 2, 3)}}}
    (tmp_path / QUESTIONS).write_text(json.dumps(questions))
    (tmp_path / GRAPHS).write_text(json.dumps(graph))
    relation, logical, attribute = read_graphs(tmp_path, KINDS).questions
    assert relation.options == ("behind", "front")
    assert [(found.name, found.x) for found in relation.objects] == [("trees", 1), ("building", 2)]
    assert [(found.name, found.x) for found in logical.objects] == [("grass", 3)]
    assert (attribute.objects[0].name, attribute.options) == ("face mask", ("white", "blue"))


@pytest.mark.parametrize(
    ("kind", "column", "value", "complaint"),
    [
        ("ChooseAttr", "central object x", "ten", r"ChooseAttr.csv, row 2 .*central object .*'ten' is no whole number"),
        ("ChooseAttr", "central object w", "0", r"row 2 .*w=0, h=\d+ has no part in the image of 64 x 64"),
        ("ChooseRel", "object2 x", "64", r"ChooseRel.csv, row 2 .*object2 .*no part in the image"),
        ("LogicalObj", "object1 h", "-", r"row 2 .*object1 .*'-' is no whole number"),
        ("QueryAttr", "image_w", "wide", r"row 2 .*'wide' is no whole number of pixels"),
        ("ChooseCat", "answer", "nothing", r"row 2 .*the answer 'nothing' is not the true option"),
        ("QueryAttr", "question", "", r"QueryAttr.csv, row 2: the column 'question' is empty"),
        ("QueryAttr", "question_id", lambda rows: rows[1]["question_id"], "comes twice"),
    ],
)
def test_a_malformed_row_is_named_with_its_fix(tables, kind, column, value, complaint):
    with pytest.raises(InputError, match=complaint):
        read_tables(tables(kind, column, value), [kind])


def test_a_table_that_is_missing_is_named(tables):
    folder = tables()
    (folder / TABLES["ChooseRel"]).unlink()
    with pytest.raises(InputError, match=r"relChooser_ChooseRel.csv: there is no such file"):
        gqa_sources.read_questions(folder, KINDS)
    # But a type that is not asked for need not be there.
    assert gqa_sources.read_questions(folder, ["ChooseAttr"]).questions


def test_what_sticks_out_of_the_image_is_cut_off():
    assert checked_object("cup", (-3, "5", 10, 100), (20, 10)) == AskedObject("cup", 0, 5, 7, 5)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda question, graph: graph["objects"].clear(), "an object that is not in the scene graph"),
        (lambda question, graph: [found.update(w=0) for found in graph["objects"].values()], "without a box"),
        (lambda question, graph: question.update(answer="?"), "an answer that is none of two options"),
        (lambda question, graph: question["semantic"].pop(), "other operations"),
        (lambda question, graph: question.update(imageId="0"), "no scene graph"),
        (lambda question, graph: question["semantic"][0].update(argument="scene"), "another number of objects than 1"),
    ],
)
def test_what_is_wrong_in_gqas_own_files_is_counted(graphs, change, reason):
    def change_first(questions, found):
        first = next(q for q in questions.values() if q["types"]["detailed"] == "chooseAttr")
        alone = {**first, "imageId": "alone", "semantic": [dict(step) for step in first["semantic"]]}
        questions["alone"], found["alone"] = alone, json.loads(json.dumps(found[first["imageId"]]))
        change(alone, found["alone"])

    found = read_graphs(graphs(change_first), KINDS)
    assert [reason in left for left in found.left_out["ChooseAttr"]] == [True]
    assert sum(found.left_out["ChooseAttr"].values()) == 1
    assert "alone" not in [question.question_id for question in found.questions]


def test_files_that_are_not_gqas_are_named(graphs, tmp_path):
    with pytest.raises(InputError, match=r"val_balanced_questions.json: there is no such file; .*questions1.2.zip"):
        gqa_sources.read_questions(tmp_path, KINDS)
    with pytest.raises(InputError, match=r"the question other has no 'types'"):
        read_graphs(graphs(lambda questions, _: questions["other"].pop("types")), KINDS)
    with pytest.raises(InputError, match=r"val_sceneGraphs.json: the scene graph of image \d+ has no 'width'"):
        read_graphs(graphs(lambda _, found: [graph.pop("width") for graph in found.values()]), KINDS)
    (tmp_path / "own" / GRAPHS).write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        read_graphs(tmp_path / "own", KINDS)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda q, g: q.update(types=None),
            "questions.json: the question alone has None as 'types', which is no mapping",
        ),
        (lambda q, g: q.update(semantic=None), "the question alone has None as 'semantic', which is no list"),
        (
            lambda q, g: q["semantic"][0].update(argument=None),
            "the question alone, in its 'semantic', has None as 'arg",
        ),
        (lambda q, g: q.update(question=None), "the question alone has None as 'question', which is no text"),
        (lambda q, g: q.update(imageId=7), "the question alone has 7 as 'imageId', which is no text"),
        (lambda q, g: g.update(width=None), "sceneGraphs.json: the scene graph of image alone has None as 'width'"),
        (
            lambda q, g: g.update(objects=None),
            "the scene graph of image alone has None as 'objects', which is no mapping",
        ),
        (
            lambda q, g: g["objects"].update(x=None),
            "image alone, in its 'objects', has None as 'x', which is no mapping",
        ),
    ],
)
def test_null_fields_of_gqas_own_files_are_named(graphs, change, complaint):
    def change_one(questions, found):
        first = next(q for q in questions.values() if q["types"]["detailed"] == "chooseAttr")
        questions["alone"], found["alone"] = json.loads(json.dumps([first, found[first["imageId"]]]))
        questions["alone"]["imageId"] = "alone"
        change(questions["alone"], found["alone"])

    with pytest.raises(InputError, match=complaint):
        read_graphs(graphs(change_one), KINDS)


def test_at_most_so_many_of_each_type_are_asked_the_same_ones_for_a_seed(world):
    some = choose_questions(GQA, world / "gqa", KINDS, 5, seed=1)
    assert set(Counter(question.kind for question in some.questions).values()) == {5}
    assert some.questions == choose_questions(GQA, world / "gqa", KINDS, 5, seed=1).questions
    assert some.questions != choose_questions(GQA, world / "gqa", KINDS, 5, seed=2).questions
    # A type's questions do not depend on which other types are asked for.
    alone = choose_questions(GQA, world / "gqa", ["QueryAttr"], 5, seed=1).questions
    assert alone == [question for question in some.questions if question.kind == "QueryAttr"]


def test_questions_are_written_with_what_was_left_out_and_read_back_checked(world, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(world / "coco/val2017", images)
    found = choose_questions(GQA, world / "gqa", ["ChooseAttr", "QueryAttr"], 10, seed=0)
    of_first, of_second = ([q for q in found.questions if q.kind == kind] for kind in ("ChooseAttr", "QueryAttr"))
    only = [q for q in of_first if q.image_id not in {other.image_id for other in of_second}]
    (images / f"{only[0].image_id:>012}.jpg").unlink()
    Image.new("RGB", (65, 64)).save(images / f"{only[1].image_id:>012}.jpg")
    # As wide as high, so that its size does not tell.
    turned = Image.new("RGB", (64, 64))
    turned.getexif()[ExifTags.Base.Orientation] = 6
    turned.save(images / f"{only[2].image_id:>012}.jpg", exif=turned.getexif())
    table = tabulate(GQA, found, images)
    description = describe("mine", table, found)
    assert description["asked"] == {"ChooseAttr": 7, "QueryAttr": 10}
    assert description["left_out"] == {
        "ChooseAttr": {NO_IMAGE: 1, OTHER_SIZE: 1, TURNED: 1},
        "QueryAttr": {},
    }
    table.to_parquet(tmp_path / "questions.parquet")
    (tmp_path / "questions.json").write_text(json.dumps(description))
    again, _ = read_questions(tmp_path)
    assert again["question_id"].tolist() == [q.question_id for q in found.questions if q not in only[:3]]
    # The digest is of what is asked: another box is another question, another folder is not.
    moved = table.assign(image=table["image"].str.replace("images", "elsewhere"))
    moved.to_parquet(tmp_path / "questions.parquet")
    read_questions(tmp_path)
    again["objects"].iat[0][0]["x"] += 1
    again.to_parquet(tmp_path / "questions.parquet")
    with pytest.raises(InputError, match=r"questions.parquet is not the file that questions.json describes"):
        read_questions(tmp_path)


def test_without_any_image_the_program_names_both_folders_and_counts_the_reasons(world, tmp_path):
    command = [
        sys.executable,
        REPOSITORY / "scripts/make_questions.py",
        "--name",
        "mine",
        "--seed",
        "0",
        "--out",
        tmp_path,
    ]
    command += ["--entry", json.dumps({"types": ["QueryAttr"], "per_type": 5}), "--annotations", world / "gqa"]
    command += ["--images", tmp_path / "empty"]
    (tmp_path / "empty").mkdir()
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"QueryAttr: 5 questions were left out: {NO_IMAGE}" in done.stderr
    assert f"error: flow.questions.mine: no question of {world / 'gqa'} is left" in done.stderr
    assert f"images in {tmp_path / 'empty'};" in done.stderr
    assert not (tmp_path / "questions.parquet").exists()
