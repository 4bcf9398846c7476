"""Readers of COCO, SNLI-VE and tables: what they read, and how they complain."""

import json

import pandas as pd
import pytest

from layerwise.datasets import coco, snli_ve
from layerwise.datasets.table import read_table
from layerwise.errors import InputError


@pytest.fixture
def coco_folder(tmp_path):
    """Two images, three objects, two categories; and a way to write it with a change."""

    def write(change=lambda instances, captions: None):
        instances = {
            "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 9, "file_name": "9.jpg"}],
            "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
            "annotations": [
                {"id": 1, "image_id": 7, "category_id": 90},
                {"id": 2, "image_id": 7, "category_id": 90},
                {"id": 3, "image_id": 9, "category_id": 1},
            ],
        }
        captions = {"annotations": [{"id": 5, "image_id": 9, "caption": "A person {here}."}]}
        change(instances, captions)
        (tmp_path / "instances_val2017.json").write_text(json.dumps(instances))
        (tmp_path / "captions_val2017.json").write_text(json.dumps(captions))
        (tmp_path / "val2017").mkdir(exist_ok=True)
        return coco.read_part(tmp_path, tmp_path, "val2017")

    return write


def test_coco(coco_folder, tmp_path):
    part = coco_folder()
    assert part.categories == ["person", "toothbrush"]
    assert part.objects.to_dict("list") == {"image_id": [7, 9], "category": ["toothbrush", "person"]}
    assert part.captions.to_dict("records") == [{"caption_id": 5, "image_id": 9, "caption": "A person {here}."}]
    assert list(part.images["image"]) == [str(tmp_path / "val2017/7.jpg"), str(tmp_path / "val2017/9.jpg")]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda i, c: i["images"].append({"id": 7, "file_name": "x.jpg"}), "two images have the id 7"),
        (
            lambda i, c: i["annotations"].append({"image_id": 8, "category_id": 1}),
            "record 3 of 'annotations' has image_id 8",
        ),
        (lambda i, c: i["annotations"].append({"image_id": 7, "category_id": 2}), "record 3 .* category_id 2"),
        (
            lambda i, c: c["annotations"].append({"id": 6, "image_id": 8, "caption": ""}),
            "captions_val2017.json: record 1",
        ),
        (lambda i, c: i["categories"][0].pop("name"), "record 0 of 'categories' has no 'name'"),
        (lambda i, c: i.pop("annotations"), "there is no list 'annotations'"),
    ],
)
def test_coco_complaints(coco_folder, change, complaint):
    with pytest.raises(InputError, match=complaint):
        coco_folder(change)


def test_coco_malformed_and_missing_files(coco_folder, tmp_path):
    coco_folder()
    (tmp_path / "captions_val2017.json").write_text('{"annotations": [')
    with pytest.raises(InputError, match=r"captions_val2017.json: not valid JSON"):
        coco.read_part(tmp_path, tmp_path, "val2017")
    with pytest.raises(InputError, match=r"instances_train2017.json: there is no such file"):
        coco.read_part(tmp_path, tmp_path, "train2017")


def test_coco_without_its_images(coco_folder, tmp_path):
    coco_folder()
    (tmp_path / "val2017").rmdir()
    with pytest.raises(InputError, match="val2017: there is no such folder"):
        coco.read_part(tmp_path, tmp_path, "val2017")


def snli_line(**change) -> str:
    record = {"Flickr30K_ID": 12, "gold_label": "neutral", "sentence2": "A dog.", "pairID": "12.jpg#0r1n"} | change
    return json.dumps({key: value for key, value in record.items() if value is not None})


def test_snli_ve(tmp_path):
    lines = [snli_line(), "", snli_line(pairID="b", gold_label="-"), snli_line(pairID="c", gold_label="entailment")]
    (tmp_path / "snli_ve_dev.jsonl").write_text("\n".join(lines))
    pairs, undecided = snli_ve.read_part(tmp_path, "images", "dev")
    assert undecided == 1
    assert list(pairs["pair_id"]) == ["12.jpg#0r1n", "c"]
    assert list(pairs["image"]) == ["images/12.jpg"] * 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: not valid JSON"),
        (snli_line(sentence2=None), "line 2: there is no field 'sentence2'"),
        (snli_line(gold_label="yes"), "line 2: gold_label 'yes'"),
        (snli_line(), "'12.jpg#0r1n' appears twice"),
    ],
)
def test_snli_ve_complaints(tmp_path, line, complaint):
    (tmp_path / "snli_ve_dev.jsonl").write_text(f"{snli_line()}\n{line}\n")
    with pytest.raises(InputError, match=complaint):
        snli_ve.read_part(tmp_path, "images", "dev")


def test_tables(tmp_path):
    table = pd.DataFrame({"image": ["a.jpg", "b.jpg"], "id": ["007", "008"], "text": ["None", "NA, {x}"]})
    table.to_csv(tmp_path / "t.csv", index=False)
    table.to_parquet(tmp_path / "t.parquet")
    for file in ("t.csv", "t.parquet"):
        assert read_table(tmp_path / file, ["image", "id", "text"]).equals(table)


def test_table_complaints(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("image,label\na.jpg,x\nb.jpg,\n")
    with pytest.raises(InputError, match=r"t.csv, row 3: the column 'label' is empty"):
        read_table(file, ["image", "label"])
    with pytest.raises(InputError, match="no column 'text'; it has image, label"):
        read_table(file, ["text"])
    with pytest.raises(InputError, match=r"t.txt: a table is a .csv or .parquet"):
        read_table(tmp_path / "t.txt", [])
    (tmp_path / "broken.parquet").write_text("no parquet")
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_table(tmp_path / "broken.parquet", [])
