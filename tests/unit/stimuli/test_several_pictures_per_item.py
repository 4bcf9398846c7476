"""Items of several pictures: what tables say of them, what prompts show of them, and which of them stay together."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from layerwise.config.prompts import Prompt
from layerwise.errors import InputError
from layerwise.several_pictures import each, joined_checksum, parts
from layerwise.stimuli.building import Stimuli, pictures_by_id
from layerwise.stimuli.image_files import check_images
from layerwise.stimuli.items import items_digest, read_items
from layerwise.stimuli.kinds.table import KIND, build_table
from layerwise.stimuli.making import read_entry
from layerwise.stimuli.modalities import BLANK, with_images
from layerwise.stimuli.prompts import render_prompts, unique_inputs
from layerwise.stimuli.table_files import table_mark
from tests.cells import run_here
from tests.items import finished
from tests.warm import REPOSITORY

SEED = 3


def photograph(path: Path, seed: int) -> bytes:
    """A small picture unlike all others, as a file; and its content."""
    pixels = np.random.default_rng(seed).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


@pytest.fixture
def folder(tmp_path) -> Path:
    """Pictures 0.png to 7.png, each another one."""
    for number in range(8):
        photograph(tmp_path / f"{number}.png", number)
    return tmp_path


@pytest.fixture
def make(folder) -> Callable[..., Stimuli]:
    """Write rows as Parquet and make the stimuli of an entry over them."""

    def made(rows: list[dict[str, Any]], **entry: Any) -> Stimuli:
        pq.write_table(pa.Table.from_pylist(rows), folder / "t.parquet")
        return build_table(entry_of(folder, **entry), 0, folder / "pictures")[0]

    return made


def entry_of(folder: Path, **entry: Any):
    labels = {} if "each" in entry else {"labels": ["wet"]}
    return read_entry({"kind": "table", "file": str(folder / "t.parquet")} | labels | entry)


def rows_of(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    """A row for each pair of pictures, in turn wet and not."""
    return [
        {"left": left, "right": right, "text": f"text {i}", "wet": "yes" if i % 2 else "no"}
        for i, (left, right) in enumerate(pairs)
    ]


def names(stimuli: Stimuli) -> list[list[str]]:
    """The names of each item's pictures."""
    return [[Path(path).name for path in each(image)] for image in stimuli.shown["image"]]


PAIRS = [("0.png", "1.png"), ("2.png", "3.png"), ("0.png", "4.png")]


def test_columns_lists_and_paths_give_the_same_items(make):
    of_columns = make(rows_of(*PAIRS), image_column=["left", "right"], text_column="text")
    # In the order of their pictures.
    assert names(of_columns) == sorted(list(pair) for pair in PAIRS)
    assert of_columns.provenance["image_id"].tolist() == ["\n".join(pair) for pair in sorted(PAIRS)]
    numbers = rows_of(*((left[0], right[0]) for left, right in PAIRS))
    of_paths = make(numbers, image_file=["{left}.png", "{right}.png"], text_column="text")
    lists = [row | {"both": [row["left"], row["right"], None]} for row in rows_of(*PAIRS)]
    of_lists = make(lists, image_column="both", pictures=2, text_column="text")
    written = [row | {"both": json.dumps([row["left"], row["right"]])} for row in rows_of(*PAIRS)]
    of_text = make(written, image_column="both", pictures=2, text_column="text")
    for other in (of_paths, of_lists, of_text):
        assert other.shown.equals(of_columns.shown)
        assert other.provenance.equals(of_columns.provenance)


def test_pictures_inside_rows_are_written_once_whatever_place_they_stand_in(make, folder):
    contents = [(folder / f"{number}.png").read_bytes() for number in range(4)]

    def held(*numbers: int) -> list[dict[str, Any]]:
        return [{"bytes": contents[number], "path": None} for number in numbers]

    rows = [{"both": held(0, 1), "wet": "no"}, {"both": held(2, 3), "wet": "yes"}, {"both": held(1, 0), "wet": "yes"}]
    stimuli = make(rows, image_column="both", pictures=2)
    files = [[Path(path).read_bytes() for path in each(image)] for image in stimuli.shown["image"]]
    assert sorted(contents.index(content) for of_item in files for content in of_item) == [0, 0, 1, 1, 2, 3]
    assert len(list((folder / "pictures").rglob("*.png"))) == 4
    # Both orders are items of their own, and belong together.
    assert len(set(finished(stimuli)["image_sha256"])) == 3


def test_items_of_each_may_show_the_pictures_in_another_order(make):
    match = {"image_column": ["left", "right"], "labels": {"match": "match"}}
    swapped = {"image_column": ["right", "left"], "labels": {"match": "mismatch"}}
    stimuli = make(rows_of(*PAIRS[:2]), each=[match, swapped], text_column="text")
    assert sorted(map(tuple, names(stimuli))) == sorted([*PAIRS[:2], *(pair[::-1] for pair in PAIRS[:2])])
    assert KIND.pictures(entry_of(Path(), each=[match, swapped])) == 2
    assert stimuli.provenance.groupby("group").size().tolist() == [2, 2]


@pytest.mark.parametrize(
    ("rows", "entry", "complaint"),
    [
        (
            rows_of(("0.png", "")),
            {"image_column": ["left", "right"]},
            "row 2: the row has no picture 2 of 2 .'right' is",
        ),
        (rows_of(("0.png", "9.png")), {"image_column": ["left", "right"]}, "row 2: there is no image .*9.png"),
        (
            rows_of(("0.png", "a\nb")),
            {"image_column": ["left", "right"]},
            "row 2: .* has a line break; rename the file",
        ),
        (rows_of(("a\nb", "0.png")), {"image_column": "left"}, "row 2: .* has a line break; rename the file"),
        (
            [{"both": ["0.png", "1.png"], "wet": "no"}, {"both": ["0.png"], "wet": "yes"}],
            {"image_column": "both", "pictures": 2},
            "row 3: the column 'both' holds 1 picture, and items show 2 .`pictures`.; .*`without_image: leave-out`",
        ),
        (
            [{"both": '["0.png", "1.png"]', "wet": "no"}],
            {"image_column": "both"},
            "row 2: the column 'both' holds 2 pictures, and an item shows one; .*`pictures: 2`",
        ),
        ([{"both": "0.png", "wet": "no"}], {"image_column": "both", "pictures": 2}, "row 2: .* holds 1 picture, and"),
        ([{"both": None, "wet": "no"}], {"image_column": "both", "pictures": 2}, "row 2: .* holds 0 pictures, and"),
        (
            [{"both": ["0.png", None, "1.png"], "wet": "no"}],
            {"image_column": "both", "pictures": 3},
            "row 2: the row has no picture 2 of 3 .the column 'both' is empty",
        ),
        (
            [{"both": ["0.png", "1.png"], "wet": "no"}],
            {"image_column": "both"},
            "row 2: .* holds 2 pictures, and an item shows one; to show all of them, write `pictures: 2`",
        ),
    ],
)
def test_rows_that_lack_a_picture_are_refused_by_row(make, rows, entry, complaint):
    with pytest.raises(InputError, match=complaint.replace("2 .'", "2 .the column '")):
        make(rows, **entry)


def test_rows_with_another_number_are_left_out_if_that_is_asked_for(make, folder):
    rows = [{"both": pictures, "wet": "no"} for pictures in (["0.png", "1.png"], ["2.png"], None, ["3.png", "4.png"])]
    stimuli = make(rows, image_column="both", pictures=2, without_image="leave-out")
    assert names(stimuli) == [["0.png", "1.png"], ["3.png", "4.png"]]
    assert stimuli.notes["rows_with_other_pictures"] == 2
    assert "rows_without_image" not in stimuli.notes
    stimuli = make(rows_of(*PAIRS, ("5.png", None)), image_column=["left", "right"], without_image="leave-out")
    assert stimuli.notes["rows_without_image"] == 1


def test_the_files_hold_each_picture_and_one_checksum_of_all(make, folder, monkeypatch):
    """By the workflow's program; items that share a picture, or one that looks like another, are one group."""
    (folder / "copy of 3.png").write_bytes((folder / "3.png").read_bytes())
    Image.open(folder / "4.png").save(folder / "4.bmp")
    rows = rows_of(
        ("0.png", "1.png"), ("1.png", "2.png"), ("3.png", "4.png"), ("copy of 3.png", "5.png"), ("6.png", "4.bmp")
    )
    for number in range(10, 30):
        photograph(folder / f"{number}.png", number)
    rows += rows_of(*((f"{number}.png", f"{number + 1}.png") for number in range(10, 30, 2)))
    pq.write_table(pa.Table.from_pylist(rows), folder / "t.parquet")
    entry = {"kind": "table", "file": str(folder / "t.parquet"), "image_column": ["left", "right"], "labels": ["wet"]}
    made = ["make_stimuli.py", "--name", "s", "--entry", json.dumps(entry), "--seed", "0", "--threads", "1"]
    task = {"stimuli": "s", "question": "global", "metric": "accuracy", "min_per_class": 1}
    task |= {"split": {"by": "random", "val": 0.2, "test": 0.2}}
    tasked = ["make_task.py", "--name", "s", "--entry", json.dumps(task), "--seed", "0", "--stimuli", str(folder / "s")]
    for name, *options in ([*made, "--out", str(folder / "s")], [*tasked, "--out", str(folder / "task")]):
        run_here(["python", str(REPOSITORY / "scripts" / name), *options], monkeypatch)

    items, description = read_items(folder / "s")
    assert description["pictures"] == 2
    assert (description["items"], description["images"]) == (15, 29)
    checksums = check_images(path for image in items["image"] for path in each(image))
    for item in items.itertuples():
        own = [checksums[path] for path in each(item.image)]
        assert each(item.picture_sha256) == own
        assert item.image_sha256 == joined_checksum(own)
    provenance = pd.read_parquet(folder / "s/provenance.parquet").set_index("item_id")
    groups = [set(of_group.index) for _, of_group in provenance.groupby("group")]
    assert [group for group in groups if group & set("01234")] == [{"0", "1"}, {"2", "3"}, {"4"}]
    duplicates = pd.read_csv(folder / "s/duplicates.csv")
    assert set(map(tuple, duplicates[["first", "second", "kind"]].to_numpy())) == {
        ("3.png", "copy of 3.png", "file"),
        ("4.png", "4.bmp", "pixels"),
    }
    # The task joins what looks alike, too: 2 and 3 share a file, and 2 and 4 the pixels of one.
    labels = pd.read_parquet(folder / "task/labels.parquet").set_index("item_id")
    assert labels["group"].nunique() == 12
    assert labels.loc[["2", "3", "4"], "group"].nunique() == 1
    sizes = json.loads((folder / "task/task.json").read_text())["sizes"]
    assert sum(of_split["images"] for of_split in sizes.values()) == 29


@pytest.mark.parametrize("of", [{"image_column": ["left", "right"]}, {"image_column": "both", "pictures": 2}])
def test_a_mark_tells_of_every_picture(make, folder, of):
    rows = [row | {"both": [row["left"], row["right"]]} for row in rows_of(*PAIRS)]
    make(rows, **of)
    before = table_mark(entry_of(folder, **of))
    assert table_mark(entry_of(folder, **of)) == before
    photograph(folder / "4.png", 40)
    assert table_mark(entry_of(folder, **of)) != before
    assert KIND.shown(entry_of(folder, **of), None).items() >= of.items()


def test_items_that_are_all_joined_are_told(make, folder, monkeypatch, caplog):
    entry = {"kind": "table", "file": str(folder / "t.parquet"), "image_column": ["left", "right"], "labels": ["wet"]}
    made = ["make_stimuli.py", "--name", "s", "--entry", json.dumps(entry), "--seed", "0", "--threads", "1"]
    for pairs, told in ((PAIRS, True), ([*PAIRS, ("5.png", "6.png"), ("7.png", "7.png")], False)):
        make(rows_of(*pairs), image_column=["left", "right"])
        caplog.clear()
        command = ["python", str(REPOSITORY / "scripts" / made[0]), *made[1:], "--out", str(folder / "s")]
        run_here(command, monkeypatch)
        assert ("stimuli.s: 2 of 3 items share pictures, directly or through other items" in caplog.text) == told


def test_items_that_lead_from_one_official_part_to_another_are_told(make, folder, monkeypatch, caplog):
    """2 and 3 are joined with the test by their pictures' content, 3 through 2 alone."""
    (folder / "copy of 1.png").write_bytes((folder / "1.png").read_bytes())
    parts = {
        "test": [("0.png", "1.png")],
        "train": [("copy of 1.png", "2.png"), ("2.png", "3.png"), ("5.png", "6.png")],
    }
    for name, pairs in parts.items():
        make(rows_of(*pairs), image_column=["left", "right"])
        (folder / "t.parquet").rename(folder / f"{name}.parquet")
    files = {name: str(folder / f"{name}.parquet") for name in parts}
    entry = {"kind": "table", "file": files, "image_column": ["left", "right"], "labels": ["wet"]}
    made = ["--name", "s", "--entry", json.dumps(entry), "--seed", "0", "--threads", "1", "--out", str(folder / "s")]
    run_here(["python", str(REPOSITORY / "scripts/make_stimuli.py"), *made], monkeypatch)
    assert "stimuli.s: 2 of 4 items are left out: they share a picture, directly or through" in caplog.text
    assert pd.read_parquet(folder / "s/provenance.parquet")["part"].value_counts().to_dict() == {"test": 1, "train": 1}


def test_two_groups_that_leave_no_test_item_are_told(make, folder, monkeypatch):
    make(rows_of(*PAIRS), image_column=["left", "right"])
    entry = {"kind": "table", "file": str(folder / "t.parquet"), "image_column": ["left", "right"], "labels": ["wet"]}
    task = {"stimuli": "s", "question": "global", "metric": "accuracy", "min_per_class": 0}
    task |= {"split": {"by": "random", "val": 0.2, "test": 0.2}}
    made = ["make_stimuli.py", "--entry", json.dumps(entry), "--threads", "1", "--out", str(folder / "s")]
    tasked = [
        "make_task.py",
        "--entry",
        json.dumps(task),
        "--stimuli",
        str(folder / "s"),
        "--out",
        str(folder / "task"),
    ]
    named = ["--name", "s", "--seed", "0"]
    run_here(["python", str(REPOSITORY / "scripts" / made[0]), *made[1:], *named], monkeypatch)
    with pytest.raises(InputError, match=r"tasks\.s: there is no test item: 2 groups are too few to divide"):
        run_here(["python", str(REPOSITORY / "scripts" / tasked[0]), *tasked[1:], *named], monkeypatch)


def test_a_table_that_was_changed_by_hand_is_refused(make, folder):
    items = finished(make(rows_of(*PAIRS), image_column=["left", "right"]))
    items.assign(picture_sha256=items["picture_sha256"].to_numpy()[::-1]).to_parquet(folder / "items.parquet")
    description = {"digest": items_digest(items, []), "categories": [], "pictures": 2}
    (folder / "stimuli.json").write_text(json.dumps(description))
    with pytest.raises(InputError, match=r"items.parquet: picture_sha256 is not what image_sha256 says"):
        read_items(folder)


def test_items_show_as_many_pictures_as_their_kind_says(make):
    stimuli = make(rows_of(*PAIRS), image_column=["left", "right"])
    assert sorted(pictures_by_id(stimuli, 2).index) == [f"{number}.png" for number in range(5)]
    with pytest.raises(InputError, match="item '0' shows 2 pictures, but each item must show 3"):
        pictures_by_id(stimuli, 3)
    with pytest.raises(InputError, match="item '0': the path of its picture has a line break"):
        pictures_by_id(stimuli)


def test_a_mark_of_a_place_in_a_text_is_refused(make):
    rows = rows_of(*PAIRS)
    rows[1]["text"] = "one \ufffc1\ufffc more"
    stimuli = make(rows, image_column=["left", "right"], text_column="text")
    with pytest.raises(InputError, match=r"item '1': its text has the character U\+FFFC"):
        finished(stimuli)
    with pytest.raises(ValueError, match=r"its text holds U\+FFFC, which marks .*; write {image 1}"):
        Prompt.model_validate({"text": "Is \ufffc1\ufffc so?"})


ITEMS = pd.DataFrame(
    {
        "item_id": [f"i{i}" for i in range(8)],
        "image": [f"{i // 2}a.png\n{i // 2}b.png\nc.png" for i in range(8)],
        "image_sha256": [joined_checksum([f"{i // 2}a", f"{i // 2}b", "c"]) for i in range(8)],
        "picture_sha256": [f"{i // 2}a\n{i // 2}b\nc" for i in range(8)],
        "text": ["yes", "no"] * 4,
    },
    # As of a table that was filtered.
    index=range(10, 18),
)


def shown(**prompt: Any) -> list[list[str]]:
    """The pictures of each item; checked against their checksums."""
    found = with_images(ITEMS, prompt, SEED)
    for row in found.itertuples():
        of_each = [path.removesuffix(".png") if path != BLANK else "blank" for path in each(row.image)]
        assert each(row.picture_sha256) == of_each
        assert row.image_sha256 == joined_checksum(of_each)
    assert found.drop(columns=["image", "image_sha256", "picture_sha256"]).equals(ITEMS[["item_id", "text"]])
    return [each(image) for image in found["image"]]


OWN = [[f"{i // 2}a.png", f"{i // 2}b.png", "c.png"] for i in range(8)]


def test_a_prompt_says_what_stands_in_each_place():
    assert shown() == shown(image="shown") == OWN
    assert shown(images=[2, 1, 3]) == [[b, a, c] for a, b, c in OWN]
    assert shown(images=[1, 1, 3]) == [[a, a, c] for a, _, c in OWN]
    assert shown(images=[1, "none", "none"]) == [[a] for a, _, _ in OWN]
    assert shown(images=["blank", "none", 2]) == [[BLANK, b] for _, b, _ in OWN]
    assert shown(image="blank") == [[BLANK] * 3] * 8
    nothing = with_images(ITEMS, {"image": "none"}, SEED)
    assert nothing[["image", "picture_sha256"]].isna().all(axis=None)
    # A picture that is shown alone is the same input, however it came there.
    alone = with_images(ITEMS, {"images": ["none", "none", 1]}, SEED)
    assert alone["image_sha256"].equals(with_images(ITEMS, {"images": [1, "none", "none"]}, SEED)["image_sha256"])


def test_another_items_pictures_are_all_used_and_none_stays():
    everything = shown(image="shuffled")
    assert sorted({tuple(pictures) for pictures in everything}) == sorted({tuple(pictures) for pictures in OWN})
    assert all(mine != other for mine, other in zip(OWN, everything, strict=True))
    second = shown(images=[1, "shuffled", 3])
    assert [[a, c] for a, _, c in second] == [[a, c] for a, _, c in OWN]
    assert all(mine[1] != other[1] for mine, other in zip(OWN, second, strict=True))
    assert {b for _, b, _ in second} == {b for _, b, _ in OWN}
    assert second[::2] == second[1::2], "items about the same pictures are shown the same ones"
    # What stands in the other places changes nothing in this one, and each place has a draw of its own.
    both = shown(images=["shuffled", "shuffled", 3])
    assert [b for _, b, _ in second] == [b for _, b, _ in both]
    assert any(a[0] != b[0] for a, b, _ in both)
    with pytest.raises(InputError, match=r"{image 3} cannot be `shuffled`, because it is the same in all items"):
        shown(images=[1, 2, "shuffled"])


def several(rows: list[tuple[str, ...]]) -> pd.DataFrame:
    """Items of pictures whose names are their checksums."""
    cells = ["\n".join(row) for row in rows]
    checksums = [joined_checksum(row) for row in rows]
    return pd.DataFrame({"image": cells, "image_sha256": checksums, "picture_sha256": cells})


@pytest.mark.parametrize("prompt", [{"image": "shuffled"}, {"images": [1, "shuffled"]}])
def test_no_item_gets_a_picture_of_its_own_back(prompt):
    # The same two pictures in both orders, which are two items with opposite labels.
    pairs = [pair for i in range(20) for pair in ((f"{i}a", f"{i}b"), (f"{i}b", f"{i}a"))]
    for seed in range(50):
        drawn = with_images(several(pairs), prompt, seed)["image"].map(each)
        taken = [pictures if "image" in prompt else pictures[1:] for pictures in drawn]
        assert all(set(mine).isdisjoint(other) for mine, other in zip(pairs, taken, strict=True))
        # Each is taken still.
        assert len(set(map(tuple, taken))) == 40
    # All items share a picture, so that the others alone can be kept apart.
    compared = with_images(several([("r", f"{i}") for i in range(9)]), prompt, SEED)["image"].map(each)
    assert all(pictures[1] != f"{i}" for i, pictures in enumerate(compared))


def test_each_order_is_equally_likely_and_the_same_for_items_about_the_same_pictures():
    orders = shown(image="random-order")
    assert all(sorted(mine) == sorted(other) for mine, other in zip(OWN, orders, strict=True))
    assert orders[::2] == orders[1::2]
    assert orders == shown(image="random-order")
    many = pd.DataFrame({"image": [f"a{i}\nb{i}\nc{i}" for i in range(6000)]})
    many = many.assign(image_sha256=many["image"], picture_sha256=many["image"])
    drawn = with_images(many, {"image": "random-order"}, SEED)["image"].str.replace(r"[\d\n]", "", regex=True)
    # 6000 draws of one of six: about 1000 of each, with a standard deviation of 29.
    assert drawn.value_counts().between(880, 1120).sum() == 6


def test_one_picture_is_shuffled_as_in_earlier_releases():
    items = pd.DataFrame(
        {"image": [f"{i // 2}.jpg" for i in range(9)], "image_sha256": [f"s{i // 2}" for i in range(9)]}
    )
    for seed, expected in ((0, "330011442"), (3, "332244110"), (11, "330044221")):
        taken = with_images(items, {"image": "shuffled"}, seed)
        assert "".join(path[0] for path in taken["image"]) == expected
        assert taken["image_sha256"].tolist() == [f"s{place}" for place in expected]
    assert list(with_images(items, {"image": "blank"}, 0).iloc[0]) == [BLANK, "blank"]
    assert list(with_images(items, {"image": "none"}, 0).iloc[0]) == [None, "none"]


PLACED = "First: {image 1} Then: {image 2} {image 3}\nIs it so: {text}?"


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ({}, ["First: ", 1, " Then: ", 2, " ", 3, "\nIs it so: yes?"]),
        ({"images": [2, 1, 3]}, ["First: ", 1, " Then: ", 2, " ", 3, "\nIs it so: yes?"]),
        ({"image": "random-order"}, ["First: ", 1, " Then: ", 2, " ", 3, "\nIs it so: yes?"]),
        # The pictures that are shown are numbered without a gap.
        ({"images": ["none", 2, 3]}, ["First: Then: ", 1, " ", 2, "\nIs it so: yes?"]),
        ({"images": [1, "none", "blank"]}, ["First: ", 1, " Then: ", 2, "\nIs it so: yes?"]),
        ({"images": [1, 2, "none"]}, ["First: ", 1, " Then: ", 2, " Is it so: yes?"]),
        ({"image": "none"}, ["First: Then: Is it so: yes?"]),
    ],
)
def test_places_in_a_wording_become_places_in_the_prompt(prompt, expected):
    found = render_prompts({"text": PLACED} | prompt, ITEMS.head(1), [])[0]
    # Of two blanks side by side, the one behind a vanished place goes with it.
    assert parts(found) == expected


def test_braces_in_a_text_are_no_places():
    items = ITEMS.head(1).assign(text="{image 2} and {categories}")
    assert render_prompts({"text": "{image 1} {text}"}, items, ["cat"]) == ["\ufffc1\ufffc {image 2} and {categories}"]
    assert render_prompts({"text": "{text} {image 1}", "image": "none"}, items, []) == ["{image 2} and {categories}"]


def test_items_that_look_the_same_are_run_once():
    for prompt, inputs in (
        ({}, 8),
        ({"images": ["none", "none", 3]}, 2),
        ({"image": "none"}, 2),
        ({"image": "blank"}, 2),
    ):
        found, row = unique_inputs(with_images(ITEMS, prompt, SEED), list(ITEMS["text"]))
        assert len(found) == inputs
        assert found["prompt"].iloc[row].tolist() == ITEMS["text"].tolist()


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        (
            {"text": "{text} {image 3}"},
            "p: {image 3} is the place of no picture, as items have 2 pictures; leave it out",
        ),
        (
            {"text": "{image 2} {text}"},
            "p: the wording has a place for {image 2} but none for {image 1}; give each of the",
        ),
        ({"text": "{image 1} {image 1} {image 2} {text}"}, "p: {image 1} is there twice, and a picture is shown once"),
        ({"text": "{image} {text}"}, "p: {image} is no place of a picture; write {image 1}"),
        ({"text": "{image 0} {text}"}, "p: {image 0} is no place of a picture; write {image 1}"),
        ({"text": "{image1} {text}"}, "p: {image1} is no place"),
        ({"images": [1]}, "p.images: it has 1 entry, but items have 2 pictures; give an entry for each place"),
        ({"images": [1, 2, "none"]}, "p.images: it has 3 entries, but items have 2 pictures"),
        ({"images": []}, "p.images: it has 0 entries, but items have 2 pictures"),
        ({"images": [3, 1]}, "p.images: there is no picture 3, as items have 2 pictures"),
        ({"images": [1, 2]}, "p.images: this is what an item shows anyway; leave it out"),
        ({"images": ["none", "none"]}, "p.images: write `image: none`, which says this of all pictures"),
        ({"images": ["blank", "blank"]}, "p.images: write `image: blank`"),
        (
            {"text": "What?", "images": ["blank", "none"]},
            "p.images: without a picture every item would be shown the same",
        ),
    ],
)
def test_a_prompt_that_does_not_fit_the_pictures_is_refused(prompt, complaint):
    entry = entry_of(Path(), image_column=["left", "right"], text_column="text")
    with pytest.raises(InputError, match=complaint):
        KIND.check_prompt("p", Prompt.model_validate({"text": "{text}"} | prompt), entry)


def test_prompts_that_fit_are_taken():
    entry, one = (entry_of(Path(), image_column=of, text_column="text") for of in (["left", "right"], "left"))
    for prompt in (
        {"images": [2, 1]},
        {"images": [1, "none"]},
        {"image": "random-order"},
        {"text": "{text}{image 2}{image 1}"},
    ):
        KIND.check_prompt("p", Prompt.model_validate({"text": "{text}"} | prompt), entry)
    for prompt in ({"text": "{text} {image 1}"}, {"images": ["shuffled"]}):
        KIND.check_prompt("p", Prompt.model_validate({"text": "{text}"} | prompt), one)
    with pytest.raises(InputError, match=r"p.image: items have one picture, and it has one order"):
        KIND.check_prompt("p", Prompt.model_validate({"text": "{text}", "image": "random-order"}), one)


def test_a_prompt_knows_how_many_pictures_it_shows():
    prompts = [{}, {"image": "shown"}, {"image": "none"}, {"image": "random-order"}, {"images": [1, "none", "blank"]}]
    read = [Prompt.model_validate({"text": "{text}"} | prompt) for prompt in prompts]
    assert [prompt.shows(3) for prompt in read] == [3, 3, 0, 3, 2]
    assert [prompt.is_own for prompt in read] == [True, True, False, False, False]
    # The cells of prompts without the new key stay what they were.
    assert [prompt.shown() for prompt in read] == [{"text": "{text}"} | prompt for prompt in prompts]
    for images in (["black", 1], [0, 1], [True, 1], "none"):
        with pytest.raises(ValueError, match=r"must be the number of a picture, or blank|valid list"):
            Prompt.model_validate({"text": "{text}", "images": images})
    with pytest.raises(ValueError, match="must have either `image` or `images`"):
        Prompt.model_validate({"text": "{text}", "image": "none", "images": ["none", 1]})


def test_a_prompt_that_cannot_be_shown_is_refused_with_the_stimuli(make, folder, monkeypatch):
    items = finished(make(rows_of(("0.png", "1.png"), ("2.png", "1.png")), image_column=["left", "right"]))
    items.to_parquet(folder / "items.parquet", index=False)
    description = {"stimuli": "s", "digest": items_digest(items, []), "categories": [], "pictures": 2}
    (folder / "stimuli.json").write_text(json.dumps(description))

    def check(**prompt: Any) -> dict[str, Any]:
        prompts = json.dumps({"p": {"text": "{image 1} or {image 2}?"} | prompt})
        command = ["check_prompts.py", "--stimuli", folder, "--prompts", prompts, "--out", folder / "prompts.json"]
        run_here(["python", str(REPOSITORY / "scripts/check_prompts.py"), *map(str, command[1:])], monkeypatch)
        return json.loads((folder / "prompts.json").read_text())[0]

    with pytest.raises(InputError, match=r"prompt p: {image 2} cannot be `shuffled`"):
        check(images=[1, "shuffled"])
    told = check(images=["none", 2])
    assert (told["image"], told["images"]) == ("chosen", ["none", 2])
    assert told["example"] == "or {image 1}?"
    assert check()["image"] == "shown"
