"""Items of tables: pictures inside rows, several items of a row, choices, groups; what is refused, and what counts."""

import hashlib
import io
import json
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from layerwise.datasets.file_marks import files_mark
from layerwise.datasets.format import DataSize
from layerwise.datasets.hub_files import read_receipt
from layerwise.errors import InputError
from layerwise.planning.input_paths import InputPaths
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.duplicates import in_their_own_part, join_groups, keep_apart
from layerwise.stimuli.items import items_digest
from layerwise.stimuli.kinds.table import KIND, build_table
from layerwise.stimuli.making import read_entry
from layerwise.stimuli.parts import official_parts
from layerwise.stimuli.picture_files import write_picture
from layerwise.stimuli.prompts import render_prompts
from layerwise.stimuli.table_files import table_mark
from layerwise.stimuli.table_rows import TablePart, sampled_rows
from tests.faults.reliability import fault
from tests.items import finished


def jpeg(seed: int) -> bytes:
    """A small photograph's file."""
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG")
    return content.getvalue()


PICTURES = [jpeg(seed) for seed in range(5)]


@pytest.fixture
def make(tmp_path) -> Callable[..., Stimuli]:
    """Write rows as Parquet and make the stimuli of an entry over them."""

    def made(rows: list[dict[str, Any]], seed: int = 0, **entry: Any) -> Stimuli:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
        return build_table(entry_of(tmp_path, **entry), seed, tmp_path / "pictures")[0]

    return made


def entry_of(folder: Path, **entry: Any):
    labels = {} if {"each", "choices"} & entry.keys() else {"labels": ["wet"]}
    return read_entry({"kind": "table", "file": str(folder / "t.parquet")} | labels | entry)


def held(content: bytes | None, path: str | None = None) -> dict[str, Any]:
    return {"bytes": content, "path": path}


def written(folder: Path) -> dict[str, bytes]:
    """The files of pictures by their path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in (folder / "pictures").rglob("*.*")}


@pytest.mark.parametrize(
    ("entry", "digest", "groups"),
    [
        (
            {"file": "old.csv", "text_column": "text", "id_column": "id", "split_column": "part"},
            "2d23af5c422b0c42d015bef724ddcf2f08a2d7c9227ed2383d88db1c7f4babe1",
            "b0.ppm c0.ppm d1.ppm a2.ppm",
        ),
        (
            {"file": "old.csv"},
            "7ae518eb2185f3f073b76a3671d58eb5de7b6a9c2f812d8028aa0abed70a41fc",
            "10.ppm 20.ppm 31.ppm 02.ppm",
        ),
        (
            {"file": "old.parquet", "text_column": "text", "id_column": "id"},
            "52394836f09f0bd581722519e229a59b1f5c56d6c4b5fc662389a67d97392095",
            "80.ppm 90.ppm 72.ppm",
        ),
    ],
)
def test_a_table_of_one_picture_and_one_text_makes_the_items_of_earlier_releases(tmp_path, entry, digest, groups):
    for i in range(3):
        (tmp_path / f"{i}.ppm").write_bytes(b"P6 1 1 255\n" + bytes([i, 0, 0]))
    rows = (
        'image,text,id,wet,part\n2.ppm,Two,a,yes,test\n0.ppm,"Is it, so? ",b,no ,train\n\n'
        "0.ppm,Zero again,c,yes,train\n1.ppm,é\u2028ins,d,no,val\n"
    )
    (tmp_path / "old.csv").write_text(rows, encoding="utf-8")
    plain = {"image": ["2.ppm", "0.ppm", "0.ppm"], "text": [2.0, 0.5, 1e-7], "id": [7, 8, 9], "wet": ["y", "n", "y"]}
    pd.DataFrame(plain).to_parquet(tmp_path / "old.parquet")
    stimuli, files = build_table(
        read_entry({"kind": "table", "labels": ["wet"]} | entry | {"file": str(tmp_path / entry["file"])})
    )
    assert items_digest(finished(stimuli), []) == digest
    assert " ".join(stimuli.provenance["item_id"] + stimuli.provenance["group"]) == groups
    assert files == [tmp_path / entry["file"]]


def test_pictures_inside_rows_become_files_named_by_their_content(make, tmp_path):
    rows = [
        {"image": held(PICTURES[0], "cat.jpg"), "wet": "yes"},
        {"image": held(PICTURES[1], "dog.jpg"), "wet": "no"},
        {"image": held(PICTURES[0], "cat.jpg"), "wet": "no"},
        # A path that two contents have, and a content without a path.
        {"image": held(PICTURES[2], "same.jpg"), "wet": "no"},
        {"image": held(PICTURES[3], "same.jpg"), "wet": "yes"},
        {"image": held(PICTURES[2], None), "wet": "yes"},
        # A content that has two paths.
        {"image": held(PICTURES[4], "first.jpg"), "wet": "yes"},
        {"image": held(PICTURES[4], "second.jpg"), "wet": "yes"},
    ]
    stimuli = make(rows)
    shas = [hashlib.sha256(content).hexdigest() for content in PICTURES]
    assert written(tmp_path) == {
        f"pictures/{sha[:2]}/{sha}.jpg": content for sha, content in zip(shas, PICTURES, strict=True)
    }
    items = finished(stimuli).merge(stimuli.provenance, on="item_id").set_index("item_id").sort_index()
    assert items["image_sha256"].tolist() == [shas[i] for i in (0, 1, 0, 2, 3, 2, 4, 4)]
    of_content = [shas[i][:16] for i in (2, 3, 2, 4, 4)]
    assert items["image_id"].tolist() == ["cat.jpg", "dog.jpg", "cat.jpg", *of_content]
    assert (items["group"] == items["image_id"]).all()
    assert [Path(path).name for path in items["image"]] == [f"{sha}.jpg" for sha in items["image_sha256"]]


def test_a_file_and_a_picture_inside_a_row_may_have_one_name(make, tmp_path):
    (tmp_path / "a.jpg").write_bytes(PICTURES[0])
    rows = [{"image": held(None, "a.jpg"), "wet": "a"}, {"image": held(PICTURES[1], "a.jpg"), "wet": "b"}]
    own = hashlib.sha256(PICTURES[1]).hexdigest()[:16]
    assert set(make(rows).provenance["image_id"]) == {"a.jpg", own}


def test_a_picture_is_written_once_and_again_where_its_file_is_not_it(make, tmp_path):
    rows = [{"image": content, "wet": "yes"} for content in PICTURES[:2]]
    make(rows)
    whole, damaged = (Path(path) for path in sorted((tmp_path / "pictures").rglob("*.jpg")))
    before = whole.stat().st_mtime_ns
    content = damaged.read_bytes()
    damaged.write_bytes(content[:-1] + b"?")
    make(rows)
    assert damaged.read_bytes() == content
    assert whole.stat().st_mtime_ns == before
    assert len(written(tmp_path)) == 2


def test_jobs_may_write_the_same_picture_at_once(tmp_path):
    sha = hashlib.sha256(PICTURES[0]).hexdigest()
    for trial in range(10):
        folder = tmp_path / str(trial) / "pictures"
        with ThreadPoolExecutor(8) as pool:
            paths = list(pool.map(lambda _: write_picture(folder, sha, PICTURES[0], "t.csv, row 2"), range(16)))  # noqa: B023
        assert {path.relative_to(folder) for path in paths} == {Path(sha[:2], f"{sha}.jpg")}
        # Nothing half-written is left.
        assert written(folder.parent) == {f"pictures/{sha[:2]}/{sha}.jpg": PICTURES[0]}


def test_who_makes_stimuli_by_hand_is_asked_for_a_folder_of_pictures(make, tmp_path):
    make([{"image": held(PICTURES[0]), "wet": "a"}])
    with pytest.raises(InputError, match=r"t.parquet, row 2: the table holds its pictures; .* --images"):
        KIND.build(entry_of(tmp_path), Sources(), 0)


def test_the_format_of_a_picture_is_its_own(make, tmp_path):
    content = io.BytesIO()
    Image.new("RGB", (4, 4)).save(content, "PNG")
    make([{"image": held(content.getvalue(), "x.jpg"), "wet": "a"}])
    assert [Path(name).suffix for name in written(tmp_path)] == [".png"]


@fault(
    "a picture inside a row of a table is cut short, or is none",
    sees="one error that names the table and the row, before a model is loaded",
    kept="the pictures that were written, and all finished work",
)
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (PICTURES[0][:-200], "t.parquet, row 3: the picture cannot be decoded .image file is truncated"),
        (b"no picture", "t.parquet, row 3: the picture is in no known format; replace it"),
    ],
)
def test_a_picture_that_cannot_be_decoded_is_named_by_its_row(make, tmp_path, content, complaint):
    with pytest.raises(InputError, match=complaint):
        make([{"image": held(PICTURES[1]), "wet": "a"}, {"image": held(content), "wet": "b"}])
    assert len(written(tmp_path)) == 1


def test_pictures_are_never_all_in_memory(make, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (8, 1024, 1024, 3), dtype=np.uint8)
    rows = []
    for picture in pixels:
        content = io.BytesIO()
        Image.fromarray(picture).save(content, "BMP")
        rows.append({"image": held(content.getvalue()), "wet": "a"})
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet", row_group_size=2)
    size, rows = pixels.nbytes, []
    tracemalloc.start()
    build_table(entry_of(tmp_path), 0, tmp_path / "pictures")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.6 * size
    assert len(written(tmp_path)) == 8


def test_rows_without_a_picture_are_refused_or_left_out(make):
    rows = [
        {"image": held(PICTURES[0]), "wet": "yes"},
        {"image": None, "wet": "no"},
        {"image": held(PICTURES[1]), "wet": "no"},
    ]
    with pytest.raises(InputError, match=r"row 3: the row has no picture .*`without_image: leave-out`"):
        make(rows)
    stimuli = make(rows, without_image="leave-out")
    assert sorted(stimuli.shown["item_id"]) == ["0", "2"]
    assert stimuli.notes["rows_without_image"] == 1
    with pytest.raises(InputError, match="no row has a picture"):
        make(rows[1:2], without_image="leave-out")


def winoground(number: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "id": i,
            "image_0": held(PICTURES[2 * i]),
            "image_1": held(PICTURES[2 * i + 1]),
            "caption_0": f"some plants surround a lightbulb {i}",
            "caption_1": f"a lightbulb surrounds some plants {i}",
            "tag": "Object",
        }
        for i in range(number)
    ]


BOTH = [
    {
        "image_column": f"image_{i}",
        "text_column": f"caption_{t}",
        "labels": {"match": "match" if i == t else "mismatch"},
    }
    for i in (0, 1)
    for t in (0, 1)
]


def test_two_pictures_and_two_captions_a_row_make_four_items_of_one_group(make, tmp_path):
    stimuli = make(winoground(), each=BOTH, labels={"kind": {"column": "tag"}})
    both = finished(stimuli).merge(stimuli.provenance, on="item_id").set_index("item_id")
    assert sorted(both.index) == [f"{row}/{item}" for row in (0, 1) for item in range(4)]
    assert (both["label:kind"] == "Object").all()
    # Each picture and each caption is as often a match as a mismatch.
    for column in ("image_id", "text"):
        assert (both.groupby(column)["label:match"].nunique() == 2).all()
    assert both.loc["1/2", "image_sha256"] == hashlib.sha256(PICTURES[3]).hexdigest()
    assert both.loc["1/2", ["text", "label:match"]].tolist() == [winoground()[1]["caption_0"], "mismatch"]
    assert both.groupby(lambda name: name[0])["group"].nunique().tolist() == [1, 1]
    assert both["group"].nunique() == 2
    assert stimuli.notes["labels"]["match"] == {"classes": ["match", "mismatch"]}
    by_id = make(winoground(), each=BOTH, group_column="id")
    assert set(by_id.provenance["group"]) == {"0", "1"}


def test_labels_of_items_may_come_from_columns_of_their_own(make):
    rows = [{"image": PICTURES[0], "q": "cat?", "p": "dog?", "q_is": 1, "p_is": 0}]
    truth = {"classes": {"1": "yes", "0": "no"}}
    each = [{"text_column": t, "labels": {"is": truth | {"column": f"{t}_is"}}} for t in "qp"]
    stimuli = make(rows, each=each)
    assert stimuli.provenance["label:is"].tolist() == ["yes", "no"]
    entry = read_entry({"kind": "table", "file": "t.csv", "each": each})
    assert KIND.classes_of(entry, None) == ["no", "yes"]


def test_paths_made_of_columns_are_found_in_the_first_folder_that_has_them(make, tmp_path):
    for folder in ("train", "val"):
        (tmp_path / folder / "MMVP Images").mkdir(parents=True)
    (tmp_path / "val/MMVP Images/1.jpg").write_bytes(PICTURES[1])
    for folder in ("train", "val"):
        (tmp_path / folder / "MMVP Images/2.jpg").write_bytes(PICTURES[2])
    # A column of whole numbers with a gap is one of floats.
    rows = [{"Index": float(i), "Question": "Which way?", "wet": "a"} for i in (1, 2)]
    given = {"image_file": "MMVP Images/{Index}.jpg", "image_root": [str(tmp_path / "train"), str(tmp_path / "val")]}
    stimuli = make(rows, **given, text="{Question} (a) Left")
    assert [Path(path).relative_to(tmp_path).parts[0] for path in stimuli.shown["image"]] == ["val", "train"]
    assert stimuli.provenance["image_id"].tolist() == ["MMVP Images/1.jpg", "MMVP Images/2.jpg"]
    assert stimuli.shown["text"].tolist() == ["Which way? (a) Left"] * 2
    with pytest.raises(InputError, match=r"row 2: there is no image .*train/MMVP Images/7.jpg; .*train, then .*val$"):
        make([rows[0] | {"Index": 7.0}], **given)


def test_a_text_is_made_of_columns_some_of_which_may_be_empty(make):
    rows = [
        {"image": PICTURES[0], "hint": hint, "q": q, "wet": "a"} for hint, q in (("Look.", "So?"), (None, "{hint}?"))
    ]
    assert make(rows, text="{hint}\n{q}").shown["text"].tolist() == ["Look.\nSo?", "{hint}?"]
    with pytest.raises(InputError, match="row 2: the columns 'hint' and 'q' are empty"):
        make([rows[0] | {"hint": None, "q": " "}], text="{hint}\n{q}")


def test_only_some_rows_are_taken(make):
    rows = [
        {"image": PICTURES[0], "wet": "a", "category": c, "n": n}
        for c, n in (("Popular ", 1), ("random", 2), ("adversarial", 2))
    ]
    assert make(rows, only={"category": ["popular", "random"]}).shown["item_id"].tolist() == ["0", "1"]
    assert make(rows, only={"category": ["popular", "random"], "n": 2}).shown["item_id"].tolist() == ["1"]
    with pytest.raises(InputError, match=r"`only` asks for 'category' to be 'poplar', but it is 'popular ?', 'random'"):
        make(rows, only={"category": "poplar"})
    with pytest.raises(InputError, match="no row has all that `only` asks for"):
        make(rows, only={"category": "popular", "n": 2})
    with pytest.raises(InputError, match="put quotes round yes and no"):
        make(rows, only={"wet": True})


COLOURS = ["red", "blue", "green"]


@pytest.mark.parametrize(
    ("answers", "more"),
    [
        ([2, 0], {}),
        ([2.0, 0.0], {}),
        (["2", "0"], {}),
        ([3, 1], {"first": 1}),
        (["C", "A"], {}),
        (["(c)", "(a)"], {}),
        (["c.", "A)"], {}),
        (["Green ", "red"], {}),
        ([2, 0], {"answer_is": "index"}),
    ],
)
def test_an_answer_is_an_index_a_letter_or_its_words(make, answers, more):
    rows = [{"image": PICTURES[0], "q": "Which?", "options": COLOURS, "answer": answer} for answer in answers]
    stimuli = make(rows, text_column="q", choices={"columns": ["options"], "answer": "answer", "items": "row"} | more)
    assert stimuli.provenance["label:answer"].tolist() == ["C", "A"]
    prompts = render_prompts({"text": "{text}\n{choices}"}, finished(stimuli), [])
    assert prompts[0] == "Which?\nA. red\nB. blue\nC. green"


def test_each_choice_may_be_an_item(make):
    options = [{"image": held(PICTURES[i]), "options": COLOURS[: 2 + i]} for i in (0, 1)]
    stimuli = make(options, choices={"columns": ["options"], "answer": 1, "items": "choice"})
    both = stimuli.shown.merge(stimuli.provenance, on="item_id").sort_values("item_id")
    assert both["item_id"].tolist() == ["0/A", "0/B", "1/A", "1/B", "1/C"]
    assert both["choice"].tolist() == ["red", "blue", "red", "blue", "green"]
    assert both["label:right"].tolist() == ["wrong", "right", "wrong", "right", "wrong"]
    # In index order: "right" is the positive class.
    assert stimuli.notes["labels"] == {"right": {"classes": ["wrong", "right"]}}
    assert both.groupby(lambda row: both.loc[row, "item_id"][0])["group"].nunique().tolist() == [1, 1]


def test_choices_in_columns_of_their_own_and_answers_of_each_item(make):
    each = [{"image_column": f"image_{i}", "answer": i} for i in (0, 1)]
    stimuli = make(winoground(), each=each, choices={"columns": ["caption_0", "caption_1"], "items": "row"})
    both = stimuli.shown.merge(stimuli.provenance, on="item_id").set_index("item_id")
    assert both.loc[["0/0", "0/1", "1/0", "1/1"], "label:answer"].tolist() == ["A", "B", "A", "B"]
    assert both.loc["0/1", "choices"] == (
        "A. some plants surround a lightbulb 0\nB. a lightbulb surrounds some plants 0"
    )
    rows = [{"image": PICTURES[0], "A": "red", "B": "blue", "C": c, "answer": "B"} for c in ("green", None)]
    choices = {"columns": ["A", "B", "C"], "answer": "answer", "items": "row"}
    assert make(rows, choices=choices).shown["choices"].tolist() == [
        "A. red\nB. blue\nC. green",
        "A. red\nB. blue",
    ]


@pytest.mark.parametrize(
    ("options", "answer", "complaint"),
    [
        (
            COLOURS,
            "pink",
            "row 2: the column 'answer' is 'pink', which is neither index, letter nor words.*'red', 'blue'",
        ),
        (COLOURS, 3, r"row 2: the column 'answer' is 3, .*there are 3 choices, 0 to 2 \(see `first`\)"),
        (COLOURS, None, "row 2: the column 'answer' is empty, so no choice is right"),
        (["1", "2", "0"], "1", "row 2: '1' in 'answer' may be the index or the words of a choice; .*answer_is: index`"),
        ([1, 2, 0], 1, "row 2: 1 in 'answer' may be the index or the words of a choice; .*answer_is: index`"),
        (
            ["red", "Red", "blue"],
            "red",
            "row 2: the column 'answer' is 'red', the words of two choices: 'red'",
        ),
        (COLOURS, float("inf"), "row 2: the column 'answer' is inf, which is neither index"),
        (["red"], 0, "row 2: 'options' has 1 choices; there must be 2 to 26"),
        (["red", " ", "blue"], 0, "row 2: choice 2 of 3 in 'options' is empty"),
        ("red or blue", 0, r"row 2: the column 'options' holds 'red or blue', not a list such as .*`columns`"),
    ],
)
def test_choices_that_say_nothing_are_refused_by_row(make, options, answer, complaint):
    rows = [{"image": PICTURES[0], "options": options, "answer": answer}]
    with pytest.raises(InputError, match=complaint):
        make(rows, choices={"columns": ["options"], "answer": "answer", "items": "row"})


def test_equal_choices_with_both_labels_are_told(make, caplog):
    rows = [{"image": PICTURES[0], "options": options, "answer": 0} for options in (COLOURS, ["red", "blue", "red"])]
    made = make(rows, choices={"columns": ["options"], "answer": "answer", "items": "choice"})
    assert len(made.shown) == 6
    assert "1 rows, such as" in caplog.text
    assert "row 3, have the words of the right choice in a wrong one too" in caplog.text


def test_an_answer_may_be_one_of_numbers(make):
    rows = [{"image": PICTURES[0], "options": [2, 3, 4], "answer": answer} for answer in (2, 4)]
    choices = {"columns": ["options"], "answer": "answer", "items": "row"}
    # As indices they would say two choices, 4 none; so there is one reading.
    assert make(rows, choices=choices).provenance["label:answer"].tolist() == ["A", "C"]
    rows = [{"image": PICTURES[0], "options": [2, 3, 4], "answer": 2}]
    for answer_is, letter in (("words", "A"), ("index", "C")):
        made = make(rows, choices=choices | {"answer_is": answer_is})
        assert made.provenance["label:answer"].tolist() == [letter]


@pytest.mark.parametrize("form", ["struct", "structs", "text", "list in text"])
def test_choices_may_be_structs_of_words_and_labels(make, form):
    """As in ARC, where most rows have letters, and some have numbers that would be other choices as indices."""

    def cell(labels: str) -> Any:
        # An empty choice at the end is none, and needs no label.
        listed = {"text": [*COLOURS, None], "label": [*labels, None]}
        each = [{"label": label, "text": word} for label, word in zip(labels, COLOURS, strict=True)]
        return {
            "struct": listed,
            "structs": each,
            "text": json.dumps(listed),
            "list in text": str(each),
        }[form]

    rows = [
        {"image": PICTURES[0], "options": cell(labels), "answer": answer}
        for labels, answer in (("123", "1"), ("ABC", "(c)"), ("231", "1"))
    ]
    choices = {"columns": ["options"], "answer": "answer", "items": "row"}
    made = make(rows, choices=choices)
    # Prompts have letters, whatever the rows' own labels are.
    assert set(made.shown["choices"]) == {"A. red\nB. blue\nC. green"}
    assert made.provenance["label:answer"].tolist() == ["A", "C", "C"]
    # In these rows alone, 1 and 2 may be indices, too.
    for answer_is, letters in (("letter", ["A", "C"]), ("index", ["B", "B"])):
        made = make(rows[::2], choices=choices | {"answer_is": answer_is})
        assert made.provenance["label:answer"].tolist() == letters
    with pytest.raises(InputError, match="row 2: '1' in 'answer' may be the index or the letter of a choice; say"):
        make(rows[::2], choices=choices)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"text": COLOURS, "label": ["A", "B"]}, "row 2: the column 'options' holds .*as many labels as `label`"),
        ({"words": COLOURS}, "row 2: the column 'options' holds .* must have their words as `text`"),
        ({"text": "red", "label": "A"}, "row 2: the column 'options' holds .* must have their words as `text`"),
        ([{"text": "red", "name": "A"}] * 2, "row 2: the column 'options' holds .*as many labels as `label`"),
        ({"text": COLOURS, "label": ["A", "a", "C"]}, "row 2: the labels of the choices in 'options' are .*its own"),
        ({"text": COLOURS, "label": ["A", "", "C"]}, "row 2: the labels of the choices in 'options' are .*its own"),
        (
            {"text": COLOURS, "label": ["1", "2", "3"]},
            r"row 2: the column 'answer' is 'D', .*3 choices, 0 to 2 \(see `first`\), labelled 1, 2, 3: 'red', 'blue'",
        ),
    ],
)
def test_structs_that_are_no_choices_are_refused_by_row(make, options, complaint):
    rows = [{"image": PICTURES[0], "options": options, "answer": "D"}]
    with pytest.raises(InputError, match=complaint):
        make(rows, choices={"columns": ["options"], "answer": "answer", "items": "row"})


def test_whole_numbers_in_one_file_and_floats_in_another_are_the_same_classes_and_groups(tmp_path):
    # As pandas writes it: a gap makes a column one of floats.
    for number, (wet, pairs) in enumerate((([1, 0, 1], [1, 0, 2]), ([1, 0, None], [1.0, 0.0, 2.0]))):
        table = pd.DataFrame({"image": PICTURES[:3], "wet": wet, "pair": pairs})
        table.to_parquet(tmp_path / f"{number}.parquet")
    labels = {"wet": {"others": "leave-out"}}
    entry = entry_of(tmp_path, file=str(tmp_path / "?.parquet"), labels=labels, group_column="pair")
    provenance = build_table(entry, 0, tmp_path / "pictures")[0].provenance
    assert set(provenance["label:wet"].dropna()) == {"0", "1"}
    assert set(provenance["group"]) == {"0", "1", "2"}


def test_groups_with_blanks_at_their_ends_are_one_group(make):
    rows = [{"image": PICTURES[i], "wet": "a", "pair": name} for i, name in enumerate(("one", "one ", "two"))]
    assert make(rows, labels=["wet"], group_column="pair").provenance["group"].nunique() == 2


def test_classes_that_differ_in_case_alone_are_told(make, caplog):
    rows = [{"image": PICTURES[i], "wet": name} for i, name in enumerate(("Yes", "yes", "no"))]
    make(rows, labels=["wet"])
    assert "labels.wet: 'Yes' and 'yes' are different classes; if they are meant to be one" in caplog.text
    caplog.clear()
    make(rows, labels={"wet": {"classes": {"yes": "wet", "no": "dry"}}})
    assert not caplog.text


def test_lists_in_a_csv_are_read(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PICTURES[0])
    pd.DataFrame({"image": ["a.jpg"] * 2, "options": ['["red", "blue"]', "['it''s', 'not']"], "answer": [1, 0]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    choices = {"columns": ["options"], "answer": "answer", "items": "row"}
    stimuli, _ = build_table(entry_of(tmp_path, file=str(tmp_path / "t.csv"), choices=choices))
    assert stimuli.shown["choices"].tolist() == ["A. red\nB. blue", "A. its\nB. not"]


def test_groups_stay_together_and_out_of_two_splits(make, tmp_path):
    rows = [{"image": PICTURES[i], "pair": i // 2, "wet": "a", "part": "train"} for i in range(4)]
    stimuli = make(rows, group_column="pair", split_column="part")
    assert stimuli.provenance.set_index("item_id")["group"].sort_index().tolist() == ["0", "0", "1", "1"]
    rows[1]["part"] = "test"
    with pytest.raises(InputError, match="row 3: rows of the group '0' are in different splits"):
        make(rows, group_column="pair", split_column="part")
    # Groups with a picture in common become one.
    rows[2]["image"] = PICTURES[0]
    shared = make(rows, group_column="pair").provenance
    nothing = pd.DataFrame(columns=["first", "second", "kind"])
    assert join_groups(shared, nothing, [])["group"].nunique() == 1


def receipt(folder: Path, splits: dict[str, list[dict[str, Any]]]) -> Path:
    """Write splits as if they had been downloaded."""
    files = {}
    for split, rows in splits.items():
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{split}.parquet")
        files[split] = [{"path": f"{split}.parquet", "size": 1, "sha256": "0" * 64}]
    about = {"repository": "lab/pope", "revision": "0" * 40, "licence": "mit", "citation": "", "pictures": []}
    (folder / "receipt.json").write_text(json.dumps(about | {"root": str(folder), "files": files}))
    return folder / "receipt.json"


def test_images_of_a_data_set_are_sampled_with_all_their_rows(tmp_path):
    # As POPE: many questions about each picture.
    rows = {
        split: [
            {"image": held(jpeg(10 * place + i % 6), f"{i % 6}.jpg"), "question": f"{i}?", "wet": "ab"[i % 2]}
            for i in range(18)
        ]
        for place, split in enumerate(["train", "validation", "test"])
    }
    file = receipt(tmp_path, rows)

    def made(seed: int, **images: Any) -> Stimuli:
        given = {"kind": "table", "dataset": "pope", "images": images, "labels": ["wet"], "text_column": "question"}
        return build_table(read_entry(given), seed, tmp_path / "pictures", read_receipt(file))[0]

    stimuli = made(1, test=2, validation="all")
    assert stimuli.provenance["part"].value_counts().to_dict() == {"validation": 18, "test": 6}
    assert KIND.parts["validation"] == "val"
    assert stimuli.provenance["item_id"].str.match(r"(validation|test)/\d+$").all()
    assert stimuli.provenance.groupby("part")["image_id"].nunique().to_dict() == {"validation": 6, "test": 2}
    # Only what is sampled is written.
    assert len(written(tmp_path)) == 8
    of_test = set(stimuli.provenance.query("part == 'test'")["item_id"])
    assert set(made(1, train=3, test=2).provenance.query("part == 'test'")["item_id"]) == of_test
    assert any(set(made(seed, test=2).provenance["item_id"]) != of_test for seed in (2, 3, 4))


def test_a_group_in_several_splits_of_a_data_set_stays_in_the_one_nearest_to_the_test(tmp_path, caplog):
    rows = {
        split: [{"image": held(jpeg(place * 3 + i)), "wet": "a", "pair": pair} for i, pair in enumerate(pairs)]
        for place, (split, pairs) in enumerate({"train": ["p", "q", "q"], "test": ["q", "r", "r"]}.items())
    }
    given = {"kind": "table", "dataset": "mine", "images": dict.fromkeys(rows, "all"), "labels": ["wet"]}
    entry = read_entry(given | {"group_column": "pair"})
    made, _ = build_table(entry, 0, tmp_path / "pictures", read_receipt(receipt(tmp_path, rows)))
    assert "1 groups (pair) are in several splits, such as 'q'" in caplog.text
    kept = made.provenance[in_their_own_part(made.provenance, official_parts("table"))]
    assert sorted(kept["part"] + kept["group"]) == ["testq", "testr", "testr", "trainp"]
    # Of a group, all rows are sampled or none.
    entry = read_entry(given | {"group_column": "pair", "images": {"train": 1}})
    for seed in range(4):
        made, _ = build_table(entry, seed, tmp_path / "pictures", read_receipt(tmp_path / "receipt.json"))
        assert "".join(made.provenance["group"]) in ("p", "qq")


def test_pictures_of_a_data_set_lie_in_its_own_folder_first(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "hub").mkdir()
    for folder, names in (("own", ["a.jpg", "b.jpg"]), ("hub", ["a.jpg"])):
        for name in names:
            (tmp_path / folder / name).write_bytes(PICTURES[0])
    file = receipt(tmp_path / "hub", {"test": [{"image": name, "wet": "y"} for name in ("a.jpg", "b.jpg")]})
    given = {"kind": "table", "dataset": "vsr", "images": {"test": "all"}, "labels": ["wet"]}
    entry = read_entry(given | {"image_root": str(tmp_path / "own")})
    stimuli, _ = build_table(entry, 0, tmp_path / "pictures", read_receipt(file))
    assert [Path(path).parent.name for path in stimuli.shown["image"]] == ["hub", "own"]


@pytest.mark.parametrize("outside", ["../own.jpg", "{folder}/own.jpg", "a/../../own.jpg"])
def test_a_strangers_rows_name_no_picture_outside_their_folder(tmp_path, outside):
    (tmp_path / "own.jpg").write_bytes(PICTURES[0])
    (tmp_path / "hub/a").mkdir(parents=True)
    row = {"image": outside.format(folder=tmp_path), "wet": "y"}
    file = receipt(tmp_path / "hub", {"test": [row]})
    given = {"kind": "table", "dataset": "vsr", "images": {"test": "all"}, "labels": ["wet"]}
    with pytest.raises(InputError, match=r"test.parquet, row 2: the picture's path '.* leads out of the data set's"):
        build_table(read_entry(given), 0, tmp_path / "pictures", read_receipt(file))
    # A user's own rows may name any file.
    own = entry_of(tmp_path / "hub", file=str(tmp_path / "hub/test.parquet"))
    assert len(build_table(own)[0].shown) == 1


def test_several_files_are_one_table(tmp_path):
    for number in (1, 2):
        rows = [{"image": PICTURES[2 * number - 2 + i], "wet": str(i)} for i in (0, 1)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"part-{number}.parquet")
    entry = entry_of(tmp_path, file=str(tmp_path / "part-*.parquet"))
    stimuli, files = build_table(entry, 0, tmp_path / "pictures")
    assert [file.name for file in files] == ["part-1.parquet", "part-2.parquet"]
    assert sorted(stimuli.shown["item_id"]) == ["0", "1", "2", "3"]
    assert stimuli.provenance["image_id"].nunique() == 4


def test_the_job_too_says_how_to_name_the_column_of_pictures(make):
    # Of a data set, the plan does not know the columns before it is downloaded.
    with pytest.raises(InputError, match=r"it has 'Image', 'wet'; is it 'Image'\?; name the column "):
        make([{"Image": held(PICTURES[0]), "wet": "a"}])


def by_split(folder: Path, **files: Any):
    return entry_of(folder, file=files)


def write_split(folder: Path, name: str, pictures: list[bytes]) -> str:
    """A table of pictures that lie beside it as 0.jpg, 1.jpg and so on."""
    (folder / name).mkdir()
    for place, content in enumerate(pictures):
        (folder / name / f"{place}.jpg").write_bytes(content)
    rows = "".join(f"{place}.jpg,{place % 2}\n" for place in range(len(pictures)))
    (folder / name / "t.csv").write_text(f"image,wet\n{rows}")
    return str(folder / name / "t.csv")


def test_files_may_be_the_official_splits(tmp_path):
    first, second = write_split(tmp_path, "a", PICTURES[:2]), write_split(tmp_path, "b", PICTURES[1:2])
    dev, test = write_split(tmp_path, "c", PICTURES[2:3]), write_split(tmp_path, "d", PICTURES[1:4])
    entry = by_split(tmp_path, train=[first, second], validation=str(tmp_path / "c/*.csv"), test=test)
    stimuli, files = build_table(entry)
    assert list(map(str, files)) == [first, second, dev, test]
    by_id = stimuli.provenance.set_index("item_id").sort_index()
    assert list(by_id.index) == ["test/0", "test/1", "test/2", "train/0", "train/1", "train/2", "validation/0"]
    assert list(by_id["part"]) == ["test"] * 3 + ["train"] * 3 + ["validation"]
    # Each split's paths start from its own folders.
    assert stimuli.shown.set_index("item_id").loc["test/0", "image"] == str(tmp_path / "d/0.jpg")
    # The same name in two splits is not the same picture, and no split of a table of one part is named.
    assert by_id.loc["test/0", "image_id"] == "test/0.jpg" != by_id.loc["train/0", "image_id"]
    expected = KIND.expected(entry, DataSize({}))
    assert expected.images == stimuli.provenance["image_id"].nunique()


def test_a_picture_in_two_files_of_splits_stays_in_the_one_nearest_to_the_test(tmp_path):
    train, test = write_split(tmp_path, "a", PICTURES[:3]), write_split(tmp_path, "b", PICTURES[2:4])
    provenance = build_table(by_split(tmp_path, train=train, test=test))[0].provenance
    duplicates = pd.DataFrame({"first": ["train/2.jpg"], "second": ["test/0.jpg"], "kind": ["file"]})
    kept, found = keep_apart(provenance, duplicates, {"by": "official"}, official_parts("table"))
    assert found["images_left_out_as_duplicates"] == ["train/2.jpg"]
    assert sorted(kept["item_id"]) == ["test/0", "test/1", "train/0", "train/1"]


def test_a_file_that_goes_to_another_split_changes_the_mark(tmp_path):
    first, second = write_split(tmp_path, "a", PICTURES[:2]), write_split(tmp_path, "b", PICTURES[2:4])
    entries = [
        by_split(tmp_path, train=first, test=second),
        by_split(tmp_path, train=second, test=first),
        by_split(tmp_path, dev=first, test=second),
        entry_of(tmp_path, file=[first, second]),
    ]
    marks = [json.dumps(table_mark(entry)) for entry in entries]
    assert len(set(marks)) == len(marks)
    assert table_mark(by_split(tmp_path, test=second, train=first)) == table_mark(entries[0])
    with pytest.raises(InputError, match=r"a/t.csv is in the splits train and test; name it in one of them$"):
        build_table(by_split(tmp_path, train=first, test=str(tmp_path / "*/t.csv")))


def test_a_pattern_starts_from_the_studys_folder(tmp_path, monkeypatch):
    (tmp_path / "study [1]/data").mkdir(parents=True)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    paths = InputPaths(tmp_path / "study [1]")
    what = "file or pattern of files"
    with pytest.raises(InputError, match=r"no file matches 'data/\*.csv', neither in the study's folder"):
        paths.locate("data/*.csv", what)
    (tmp_path / "study [1]/data/a.csv").write_text("image,wet\na.jpg,1\n")
    found = paths.locate("data/*.csv", what)
    (tmp_path / "study [1]/data/a.jpg").write_bytes(PICTURES[0])
    stimuli, _ = build_table(entry_of(tmp_path, file=found))
    assert stimuli.shown["image"].tolist() == [str(tmp_path / "study [1]/data/a.jpg")]
    (tmp_path / "work/data").mkdir()
    (tmp_path / "work/data/b.csv").write_text("")
    with pytest.raises(InputError, match="give the absolute path of those you mean"):
        paths.locate("data/*.csv", what)


def test_what_is_expected_is_what_is_made(make, tmp_path):
    choices = {"columns": ["options"], "answer": 0, "items": "choice"}
    rows = [{"image": held(PICTURES[i % 2]), "q": "Which?", "options": COLOURS} for i in range(4)]
    stimuli = make(rows, choices=choices, text_column="q")
    expected = KIND.expected(entry_of(tmp_path, choices=choices, text_column="q"), DataSize({}))
    assert (expected.images, expected.texts_per_image) == (2, 6)
    assert expected.images * expected.texts_per_image == len(stimuli.shown)
    assert expected.characters == pytest.approx(len("Which?") + np.mean([len(colour) for colour in COLOURS]))
    assert expected.distinct_texts == 3


def test_labels_and_answers_do_not_count_in_recipes_and_what_is_shown_does():
    each = [{"text_column": "a", "labels": {"m": "x"}}, {"text_column": "b", "labels": {"m": "y"}}]
    choices = {"columns": ["options"], "answer": "right", "items": "row"}
    base = {"kind": "table", "file": "t.csv", "each": each, "choices": choices}

    def shown(**more: Any) -> dict[str, Any]:
        return KIND.shown(read_entry(base | more), None)

    others = [item | {"labels": {"other": label}} for item, label in zip(each, "pq", strict=True)]
    for same in (
        {"each": others},
        {"choices": choices | {"answer": "best", "first": 1, "answer_is": "index"}},
        {"labels": ["c"]},
        {"group_column": "g"},
        {"file": "u.csv"},
        {"image_root": ["p", "q"]},
    ):
        assert shown(**same) == shown(), same
    for other in (
        {"each": [each[0], each[1] | {"text_column": "c"}]},
        {"choices": choices | {"items": "choice"}},
        {"choices": choices | {"columns": ["o", "p"]}},
        {"only": {"c": "d"}},
        {"image_file": "{n}.jpg"},
        {"without_image": "leave-out"},
        {"text": "{q}", "each": [{"labels": {"m": "x"}}, {"labels": {"m": "y"}, "text_column": "b"}]},
    ):
        assert shown(**other) != shown(), other


def test_a_mark_tells_of_cells_that_are_shown_and_of_pictures(tmp_path):
    (tmp_path / "a.jpg").write_bytes(PICTURES[0])
    entry = entry_of(tmp_path, file=str(tmp_path / "t.csv"), image_file="{n}.jpg", text="{q}", only={"c": ["1"]})
    assert_changes = {"n": True, "q": True, "c": True, "wet": False}

    def mark(**cells: str) -> Any:
        row = {"n": "a", "q": "So?", "c": "1", "wet": "yes"} | cells
        (tmp_path / "t.csv").write_text(f"{','.join(row)}\n{','.join(row.values())}\n")
        return table_mark(entry)

    before = mark()
    assert {column: mark(**{column: "z"}) != before for column in assert_changes} == assert_changes
    (tmp_path / "a.jpg").write_bytes(PICTURES[1])
    assert mark() != before


def test_a_mark_of_pictures_inside_is_that_of_the_files(make, tmp_path):
    rows = [{"image": held(PICTURES[0]), "wet": "a"}]
    make(rows)
    before = table_mark(entry_of(tmp_path))
    # Not of their content, which takes long to read.
    assert before == files_mark([tmp_path / "t.parquet"])
    make([{"image": held(PICTURES[1]), "wet": "a"}])
    assert table_mark(entry_of(tmp_path)) != before


def test_a_list_of_one_picture_is_that_picture(make, tmp_path):
    rows = [{"image": [held(PICTURES[0], "a.jpg")], "wet": "a"}, {"image": [held(PICTURES[1], "b.jpg")], "wet": "b"}]
    assert make(rows).provenance["image_id"].tolist() == ["a.jpg", "b.jpg"]
    assert len(written(tmp_path)) == 2
    rows.append({"image": [], "wet": "a"})
    with pytest.raises(InputError, match="row 4: the row has no picture"):
        make(rows)
    rows[2]["image"] = [held(PICTURES[0]), held(PICTURES[1])]
    with pytest.raises(InputError, match="row 4: the column 'image' holds 2 pictures, and an item shows one"):
        make(rows)


def test_a_picture_in_base64_is_told_from_a_path(make):
    with pytest.raises(InputError, match=r"row 2: there is no image .*; is it a picture in base64\?"):
        make([{"image": "/9j/4AAQ" * 1000, "wet": "a"}])


@pytest.mark.parametrize("entry", [{"labels": ["odd"]}, {"text_column": "odd"}, {"text_column": "image"}])
def test_a_picture_where_text_is_meant_is_refused(make, entry):
    rows = [{"image": held(PICTURES[0]), "odd": PICTURES[1], "wet": "a"}]
    with pytest.raises(InputError, match=r"row 2: the column '(odd|image)' holds a picture, not text or a number"):
        make(rows, **entry)


def test_rows_that_are_read_hold_no_picture(make, tmp_path):
    make([{"image": held(PICTURES[0]), "wet": "a"}])
    (row,), _ = sampled_rows(entry_of(tmp_path), [TablePart("all", [tmp_path / "t.parquet"], [])], 0)
    assert row.cells == {"wet": "a"}
    assert row.image.size == len(PICTURES[0])
