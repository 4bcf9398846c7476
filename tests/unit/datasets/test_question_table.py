"""Questions of a user's own table: what is read, and what is refused with its row and the fix."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from layerwise.config.flow import QuestionTable
from layerwise.datasets.question_table import Box, read_question_table
from layerwise.errors import InputError
from layerwise.flow.own_questions import own_questions
from layerwise.flow.questions import questions_digest

ROW = {"image": "a.png", "question": "Is the red cup left of the plate?", "answer": "yes"}
BOXES = {"boxes_column": "boxes"}
TWO = {"image_column": ["image", "other"]}


@pytest.fixture
def folder(tmp_path):
    """Three pictures of 60 x 40 pixels; the third one is the first again, under another name."""
    for name, colour in (("a", "red"), ("b", "blue"), ("c", "red")):
        Image.new("RGB", (60, 40), colour).save(tmp_path / f"{name}.png")
    return tmp_path


def table(folder, rows, **entry):
    """A CSV of rows, and its entry."""
    pd.DataFrame(rows).to_csv(folder / "q.csv", index=False)
    return QuestionTable.model_validate({"file": str(folder / "q.csv")} | entry)


def made(folder, rows, **entry):
    return own_questions(table(folder, rows, **entry), 0, folder / "pictures")[0]


def test_a_row_becomes_a_question(folder):
    row = ROW | {"id": "q7", "kind": "side", "wrong": "no", "what": "red cup", "boxes": "[[1.5, 2, 10, 100]]"}
    entry = {"id_column": "id", "type_column": "kind", "distractor_column": "wrong", "spans": {"subject": "what"}}
    (found,) = made(folder, [row], **entry, **BOXES).to_dict("records")
    assert (found["question_id"], found["type"], found["answer"], found["distractor"]) == ("q7", "side", "yes", "no")
    assert found["spans"] == [{"name": "subject", "words": "red cup"}]
    # Whole pixels that the box touches, up to the picture's edge.
    assert found["objects"] == [{"name": "", "x": 1, "y": 2, "w": 11, "h": 38}]
    assert found["image"] == str(folder / "a.png")


def test_defaults_are_one_type_and_the_row_number(folder):
    found = made(folder, [ROW, ROW | {"image": "b.png"}])
    assert found["question_id"].tolist() == ["0", "1"]
    assert set(found["type"]) == {"all"}
    assert found["distractor"].tolist() == ["", ""]


def test_questions_that_share_a_picture_count_as_about_one(folder):
    """``c.png`` is ``a.png`` under another name, so that the first three are about the same pictures."""
    pairs = [("a.png", "b.png"), ("b.png", "b.png"), ("c.png", "c.png")]
    Image.new("RGB", (60, 40), "green").save(folder / "d.png")
    rows = [ROW | {"image": left, "other": right} for left, right in [*pairs, ("d.png", "d.png")]]
    found = made(folder, rows, **TWO)
    assert found["image_id"].nunique() == 2
    assert found["image_id"].iloc[:3].nunique() == 1
    assert found["image"].iloc[0] == f"{folder / 'a.png'}\n{folder / 'b.png'}"


def test_boxes_are_of_their_own_picture(folder):
    boxes = json.dumps([{"image": 2, "box": [1, 2, 3, 4], "name": "cup"}, {"image": 1, "box": [5, 6, 7, 8]}])
    (found,) = read_question_table(table(folder, [ROW | {"other": "b.png", "boxes": boxes}], **TWO, **BOXES))
    assert found.boxes == (Box(2, "cup", 1, 2, 3, 4), Box(1, "", 5, 6, 7, 8))
    stored = made(folder, [ROW | {"other": "b.png", "boxes": boxes}], **TWO, **BOXES)["objects"].iloc[0]
    assert [one["image"] for one in stored] == [2, 1]


def test_parquet_may_hold_lists_and_pictures(folder):
    content = io.BytesIO()
    Image.new("RGB", (30, 20), "green").save(content, "PNG")
    row = {"picture": content.getvalue(), "question": "Which colour?", "answer": "green"}
    rows = [row | {"boxes": [[0, 0, 5, 5], [1, 1, 4, 4]], "options": ["green", "red"]}]
    pd.DataFrame(rows).to_parquet(folder / "q.parquet")
    entry = {"file": str(folder / "q.parquet"), "image_column": "picture", "options_column": "options"} | BOXES
    found, _ = own_questions(QuestionTable.model_validate(entry), 0, folder / "pictures")
    assert len(found["objects"].iloc[0]) == 2
    assert found["options"].iloc[0] == ["green", "red"]
    with Image.open(found["image"].iloc[0]) as picture:
        assert picture.size == (30, 20)
    with pytest.raises(InputError, match="row 2: the row holds its picture; name a folder"):
        own_questions(QuestionTable.model_validate(entry), 0, None)


def test_a_limit_samples_by_seed_and_keeps_the_order(folder):
    rows = [ROW | {"question": f"Is it number {i}?"} for i in range(30)]
    samples = [own_questions(table(folder, rows, limit=8), seed, None)[0]["question_id"] for seed in (0, 0, 1)]
    assert len(samples[0]) == 8
    assert samples[0].tolist() == sorted(samples[0], key=int) == samples[1].tolist() != samples[2].tolist()


def test_what_is_asked_decides_the_digest_and_where_it_lies_does_not(folder, tmp_path_factory):
    entry = {"distractor_column": "wrong", "spans": {"subject": "what"}}
    row = ROW | {"wrong": "no", "what": "cup"}
    first = questions_digest(made(folder, [row], **entry))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "c.png").write_bytes((folder / "a.png").read_bytes())
    assert questions_digest(made(elsewhere, [row | {"image": "c.png"}], **entry)) == first
    for change in ({"wrong": "maybe"}, {"what": "plate"}, {"image": "b.png"}, {"answer": "Yes!"}):
        assert questions_digest(made(folder, [row | change], **entry)) != first


SPAN = {"spans": {"subject": "what"}}
OPTIONS = {"options_column": "options"}


@pytest.mark.parametrize(
    ("change", "entry", "complaint"),
    [
        ({}, {"type_column": "kind"}, "q.csv: there is no column 'kind'; it has 'image', 'question', 'answer'"),
        ({"answer": ""}, {}, "row 2: the column 'answer' is empty; fill it in, or take the row out"),
        ({"image": "z.png"}, {}, "row 2: there is no image .*z.png; relative paths start from"),
        ({"image": ""}, {}, "row 2: there is no picture .the column 'image' is empty.; take the row out"),
        ({"wrong": "YES"}, {"distractor_column": "wrong"}, "row 2: the distractor 'YES' is the answer"),
        (
            {"what": "blue cup"},
            SPAN,
            "does not hold the words 'blue cup' of the span subject; copy them from the question",
        ),
        (
            {"question": "A cup or a cup?", "what": "cup"},
            SPAN,
            "span subject 2 times; write more of the words",
        ),
        ({"boxes": "[[70, 2, 5, 5]]"}, BOXES, r"row 2: the box \[70, 2, 5, 5\] has no part in the picture of 60 x 40 "),
        ({"boxes": "[[1, 2, 0, 5]]"}, BOXES, "whose width and height must be above 0"),
        ({"boxes": "[[1, 2, 5]]"}, BOXES, r"the box \[1, 2, 5\], not four numbers"),
        ({"boxes": "1, 2, 3, 4"}, BOXES, r"holds '1, 2, 3, 4', not JSON such as \[\[10, 20, 30, 40\]\]"),
        ({"boxes": "[[1,2,3,4]]", "other": "b.png"}, BOXES | TWO, "does not say in which picture it is; there are 2"),
        ({"options": '["no", "maybe"]'}, OPTIONS, "the answer 'yes' is not among the options"),
        ({"options": '["yes"]'}, OPTIONS, "there must be two or more"),
        ({"options": "yes or no"}, OPTIONS, "holds 'yes or no', not JSON such as"),
        ({"question": "What is \ufffc1\ufffc?"}, {}, "has the character U\\+FFFC, which stands for pictures"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_row(folder, change, entry, complaint):
    with pytest.raises(InputError, match=complaint):
        made(folder, [ROW | change], **entry)


def test_words_within_longer_words_do_not_make_a_span_ambiguous(folder):
    row = {"question": "Is the cat in the category of pets?", "what": "cat"}
    assert made(folder, [ROW | row], **SPAN)["spans"].iloc[0] == [{"name": "subject", "words": "cat"}]


def test_an_id_that_comes_twice_names_both_rows(folder):
    with pytest.raises(InputError, match=r"row 3: the id 'a' is that of .*q.csv, row 2, too; ids must be unique"):
        made(folder, [ROW | {"id": "a"}] * 2, id_column="id")


def test_pictures_that_cannot_be_used_name_the_row(folder):
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:60])
    with pytest.raises(InputError, match=r"q.csv, row 3: .*b.png: not a readable image"):
        made(folder, [ROW, ROW | {"image": "b.png"}])
    turned = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(folder / "t.jpg", exif=exif)
    with pytest.raises(InputError, match=r"row 2: .*t.jpg is turned by its EXIF tag"):
        made(folder, [ROW | {"image": "t.jpg", "boxes": "[[1, 2, 3, 4]]"}], **BOXES)
    # Without boxes, nobody needs to know which way up it was.
    assert len(made(folder, [ROW | {"image": "t.jpg"}])) == 1
