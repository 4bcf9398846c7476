"""What is refused of a table before anything runs, by the headers of its files alone."""

import copy
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from layerwise.cost.inputs import count_inputs
from layerwise.errors import InputError
from layerwise.stimuli.kinds.table import KIND
from layerwise.study import Study

ROW = {
    "picture": {"bytes": b"none that is read", "path": None},
    "question": "Which colour?",
    "caption": "A red one.",
    "wrong": "A blue one.",
    "options": ["red", "blue"],
    "answer": 1,
    "tint": "warm",
    "place": "left",
    "other": {"bytes": b"none that is read", "path": None},
    "both": [{"bytes": b"none that is read", "path": None}] * 2,
}
CHOICES = {"columns": ["options"], "answer": "answer", "items": "row"}
EACH = [
    {"text_column": "caption", "labels": {"match": "match"}},
    {"text_column": "wrong", "labels": {"match": "mismatch"}},
]
HUB = {"format": "hub", "repository": "lab/pope", "revision": "0" * 40}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Plan a study of the table."""
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.Table.from_pylist([ROW]), "t-0.parquet")
    pq.write_table(pa.Table.from_pylist([{**ROW, "extra": 1}]), "t-1.parquet")

    def planned(
        entry: dict[str, Any], text: str = "{text}", task: dict[str, Any] | None = None, **sections: Any
    ) -> Study:
        table = {"kind": "table", "file": "t-0.parquet", "image_column": "picture", "prompts": ["asked"]} | entry
        config = {
            "prompts": {"table": {"asked": {"text": text}}},
            "stimuli": {"t": {key: value for key, value in table.items() if value is not None}},
            "tasks": {"t": {"stimuli": "t", "question": "global"} | (task or {})},
            "models": {"any": {"source": "some/model"}},
        }
        return Study.from_config(copy.deepcopy(config | sections))

    return planned


TINT = {"labels": ["tint"], "text_column": "question"}
LETTERS = {"choices": CHOICES, "text_column": "question"}
MATCH = {"each": EACH}
TWO = TINT | {"image_column": ["picture", "other"]}
BY_FILE = {"file": {"train": "t-0.parquet", "test": ["t-1.parquet"]}}
OF_HUB = {"file": None, "dataset": "pope", "images": {"test": 5}} | TINT


@pytest.mark.parametrize(
    ("entry", "more"),
    [
        (TINT, {}),
        ({"labels": ["tint"], "text": "{question} {caption}"}, {}),
        (TINT | {"file": "t-*.parquet"}, {}),
        (TINT | BY_FILE, {"task": {"split": {"by": "official"}}}),
        (LETTERS, {"text": "{text}\n{choices}"}),
        (LETTERS | {"choices": CHOICES | {"items": "choice", "answer": 0}}, {"text": "{text} {choice}"}),
        (MATCH, {"task": {"labels": ["match"], "classes": ["mismatch", "match"]}}),
        (MATCH | {"labels": ["tint", "place"]}, {"task": {"labels": ["place"]}}),
        (OF_HUB, {"datasets": {"pope": HUB}, "task": {"split": {"by": "official"}}}),
        (TWO, {"text": "{image 1} or {image 2}? {text}"}),
        (TINT | {"image_column": "both", "pictures": 2}, {"text": "{image 2} or {image 1}? {text}"}),
        (TINT | {"image_column": None, "image_file": ["{place}.jpg", "{tint}.jpg"]}, {}),
        (MATCH | {"each": [item | {"image_column": ["other", "picture"]} for item in EACH]}, {}),
        (OF_HUB | {"image_column": ["picture", "other"]}, {"datasets": {"pope": HUB}}),
    ],
)
def test_what_fits_is_planned(plan, entry, more):
    assert plan(entry, **more).grid.probe_cells()


@pytest.mark.parametrize(
    ("entry", "more", "complaint"),
    [
        (TINT | {"file": None}, {}, "stimuli.t: must have either `file` or `dataset`"),
        (TINT | {"dataset": "pope"}, {}, "stimuli.t: must have either `file` or `dataset`"),
        (TINT | {"images": {"test": 5}}, {}, "stimuli.t: `images` needs `dataset`"),
        (OF_HUB | {"images": None}, {}, "stimuli.t: say in `images` how many of each split"),
        (OF_HUB | {"split_column": "part"}, {}, "the splits of a `dataset` are its own"),
        (OF_HUB, {}, "stimuli.t.dataset: there is no 'pope'; the config has nothing"),
        (OF_HUB, {"datasets": {"pope": HUB | {"files": {"dev": "a.csv"}}}}, "stimuli.t: .* name no split 'test'"),
        (
            OF_HUB,
            {"datasets": {"pope": {"format": "coco", "annotations": ".", "images": "."}}},
            "stimuli.t.dataset: pope has the format coco; a table reads data sets of format hub, or a `file`",
        ),
        (TINT | {"file": "none-*.parquet"}, {}, "stimuli.t.file: no file matches 'none-\\*.parquet'"),
        (TINT | {"file": ["t-0.parquet", "u.csv"]}, {}, "stimuli.t.file: there is no file 'u.csv'"),
        (TINT | {"file": "t-*.parquet", "id_column": "extra"}, {}, "t-0.parquet: there is no column 'extra'"),
        (TINT | {"file": {"train": "t-0.parquet", "test": "none-*.parquet"}}, {}, "no file matches 'none-\\*.parq"),
        (TINT | {"file": {"train": "t-0.parquet", "test": "t-*.parquet"}}, {}, "is in the splits train and test"),
        (TINT | {"file": {"training": "t-0.parquet"}}, {}, "stimuli.t.file: 'training' is not one of train, val, "),
        (TINT | {"file": {}}, {}, "stimuli.t.file: must have at least one entry"),
        (TINT | {"file": {"train": []}}, {}, "stimuli.t.file.train: "),
        (TINT | {"file": 3}, {}, "stimuli.t.file: "),
        (TINT | BY_FILE | {"split_column": "place"}, {}, "`file` names the files of each split; leave out `split_col"),
        (TINT | BY_FILE | {"id_column": "extra"}, {}, "t-0.parquet: there is no column 'extra'"),
        (TINT | {"image_root": [".", "nowhere"]}, {}, "stimuli.t.image_root: there is no folder 'nowhere'"),
        (TINT | {"image_file": "a.jpg"}, {}, "image_file: must be a path with columns in braces"),
        (TINT | {"image_file": "{answer}.jpg"}, {}, "must have either `image_column` or `image_file`"),
        (TINT | {"text": "{caption}"}, {}, "must have either `text_column` or `text`"),
        (TINT | {"text_column": None, "text": "{hint}"}, {}, "t-0.parquet: there is no column 'hint'"),
        (TINT | {"text_column": "options"}, {}, "'options' holds values of type list"),
        (TINT | {"text_column": "picture"}, {}, "'picture' holds pictures"),
        (
            TINT | {"image_column": "image"},
            {},
            "no column 'image'; .*; name the column with .* as `image_column`$",
        ),
        (TINT | {"image_column": "photo"}, {}, "there is no column 'photo'; it has [^;]*$"),
        (LETTERS | {"choices": CHOICES | {"columns": ["choices"]}}, {}, "there is no column 'choices'"),
        (TINT | {"only": {"category": "x"}}, {}, "there is no column 'category'"),
        (TINT | {"group_column": "pair"}, {}, "there is no column 'pair'"),
        (TINT | {"labels": None}, {}, "must have `labels`, labels of the items in `each`, or `choices`"),
        (TINT, {"task": {"split": {"by": "official"}}}, "official needs `split_column` .*; or files for each"),
        (TINT, {"text": "{text} {choices}"}, "has {choices}, but its stimulus set names no `choices`"),
        (TINT, {"text": "{text} {caption}"}, "table prompts allow {choice}, {choices}, {text}"),
        (LETTERS, {}, "prompts.table.asked: without {choices} in the prompt, nobody can answer with a letter"),
        (LETTERS, {"text": "{text} {choice}"}, "makes one item per row; write {choices}, or change `choices.items`"),
        (
            LETTERS | {"choices": CHOICES | {"items": "choice"}},
            {"text": "{text}"},
            "without {choice} in the prompt, all choices of a row read the same",
        ),
        (LETTERS | {"choices": {"columns": ["options"], "items": "row"}}, {}, "`choices` needs `answer`"),
        (LETTERS | {"choices": CHOICES | {"answer": 0}}, {}, "one letter would be right in every row"),
        (LETTERS | {"choices": CHOICES | {"answer": "best"}}, {}, "there is no column 'best'"),
        (
            LETTERS | {"labels": ["answer"]},
            {},
            "two labels are called answer; .* `labels: {other-name: {column: answer}}`",
        ),
        (
            MATCH | {"each": [EACH[0], {"labels": {"match": "mismatch"}}]},
            {},
            "an item of `each` names no `text_column`",
        ),
        (MATCH | {"each": [{"labels": {"m": c}} for c in "ab"]}, {}, "its stimulus set names no `text_column`"),
        (MATCH | {"each": [EACH[0], {"text_column": "wrong"}]}, {}, "the items of `each` must have the same `labels`"),
        (
            MATCH | {"each": [EACH[0], {"text_column": "wrong", "labels": {"match": "match"}}]},
            {},
            "the label 'match' is always 'match'; a probe needs two classes",
        ),
        (
            MATCH | {"each": [EACH[0], {"text_column": "wrong", "labels": {"match": {"as": "number"}}}]},
            {},
            "the label 'match' is a number here and a class there",
        ),
        (MATCH | {"each": [EACH[0] | {"answer": 0}, EACH[1]]}, {}, "in `each`, an `answer` needs `choices`"),
        (
            MATCH | {"labels": ["tint"]},
            {},
            "share the same two classes, but tint has warm and match has match, mismatch",
        ),
        (MATCH, {"task": {"labels": ["tint"]}}, "there is no label 'tint'; stimuli.t has match"),
        (TINT | {"image_column": ["picture", "photo"]}, {}, "there is no column 'photo'"),
        (TINT | {"image_column": ["picture", "picture"]}, {}, "image_column: 'picture' is there twice"),
        (TINT | {"image_column": []}, {}, "image_column: must have at least a value"),
        (TINT | {"pictures": 1}, {}, "pictures: must be a whole number of at least 2, not 1"),
        (TWO | {"pictures": 2}, {}, "`pictures` is for one column whose cells are lists; each path or column"),
        (
            MATCH | {"each": [EACH[0], EACH[1] | {"image_column": ["picture", "other"]}]},
            {},
            "in `each`, all items must show the same number of pictures, but one shows 1 and one 2",
        ),
        (TWO, {"text": "{image 1} {text}"}, "prompts.table.asked: .* none for {image 2}; give each of the 2 pictures"),
        (
            TINT,
            {"text": "{image 1} {image 2} {text}"},
            "a place for {image 2}, but items of its stimulus set show one picture; .* or say how many a cell lists "
            r"\(`pictures: 3`\) \(stimuli.t names this prompt\)",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_its_key(plan, entry, more, complaint):
    with pytest.raises(InputError, match=complaint):
        plan(entry, **more)


def test_right_is_the_positive_class_and_classes_of_other_labels_are_in_alphabetical_order(plan):
    one_per_choice = LETTERS | {"choices": CHOICES | {"items": "choice", "answer": 0}}
    text = "{text} {choice}"
    assert plan(one_per_choice, text).grid.classes_of("t") == ["wrong", "right"]
    assert plan(one_per_choice, text, {"classes": ["right", "wrong"]}).grid.classes_of("t") == ["right", "wrong"]
    assert plan(MATCH).grid.classes_of("t") == ["match", "mismatch"]
    named = {"classes": {"left": "wrong", "right": "right"}}
    assert plan(TINT | {"labels": {"place": named}}).grid.classes_of("t") == ["right", "wrong"]


def test_a_text_that_no_prompt_shows_is_told(plan):
    assert plan({"labels": ["tint"]}, text="What is there?").notes == []
    (note,) = plan(TINT, text="What is there?").notes
    assert "stimuli.t.text_column: none of its prompts shows {text}" in note


def test_the_job_is_told_where_pictures_and_data_sets_lie(plan):
    study = plan(TINT, pathvars={"data": "scratch/data"})
    assert KIND.options(study.config.stimuli["t"], study.data) == ["--images=scratch/data/pictures"]
    assert KIND.source_files(study.config.stimuli["t"], study.data) == ["t-0.parquet"]
    study = plan(OF_HUB, datasets={"pope": HUB})
    receipt, *told = KIND.options(study.config.stimuli["t"], study.data)
    assert told == ["--format=hub", "--images=data/pictures"]
    assert receipt == f"--annotations={study.receipts[0]}"
    assert KIND.source_files(study.config.stimuli["t"], study.data) == study.receipts


def test_a_data_set_is_counted_when_its_stimuli_are_made(plan):
    study = plan(OF_HUB, datasets={"pope": HUB})
    with pytest.raises(InputError, match=r"datasets.pope: how many rows .*`snakemake stimuli`"):
        count_inputs(study, "t", "asked")


def test_the_seed_and_the_split_count_where_images_are_sampled(plan):
    def folder(entry: dict[str, Any], **more: Any) -> str:
        return plan(entry, datasets={"pope": HUB}, **more).stimuli_folder("t")

    assert folder(OF_HUB) == folder(OF_HUB | {"labels": ["place"]})
    others = [
        folder(OF_HUB, seed=1),
        folder(OF_HUB | {"images": {"test": 6}}),
        folder(OF_HUB | {"images": {"dev": 5}}),
        folder(OF_HUB | {"group_column": "pair"}),
    ]
    assert len({folder(OF_HUB), *others}) == 5
    assert folder(TINT) == folder(TINT, seed=1) == folder(TINT | {"group_column": "place"})
