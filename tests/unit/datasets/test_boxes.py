"""Boxes of annotated objects, by file and record."""

import json

import pandas as pd
import pytest

from layerwise.datasets.boxes import BOX, boxes_of, with_boxes
from layerwise.errors import InputError


def table(file, *records):
    rows = [(f"val2017/{n}", "cat", str(file), n) for n in records]
    return pd.DataFrame(rows, columns=["image_id", "category", "file", "record"])


def write(tmp_path, *boxes, size=(200, 100)):
    images = [{"id": 7, "width": size[0], "height": size[1]}]
    annotations = [{"image_id": 7, "category_id": 1, "bbox": box} for box in boxes]
    file = tmp_path / "instances_val2017.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations}))
    return file


def test_boxes_are_shares_of_the_picture_and_end_with_it(tmp_path):
    file = write(tmp_path, [20, 10, 50, 40], [150, -10, 100, 30])
    found = with_boxes(table(file, 1, 0))
    assert found[BOX].to_numpy().tolist() == [[0.75, 0, 1, 0.2], [0.1, 0.1, 0.35, 0.5]]
    assert list(found["image_id"]) == ["val2017/1", "val2017/0"]


@pytest.mark.parametrize("box", [None, [1, 2, 3], ["a", 1, 1, 1], [300, 0, 5, 5], [0, 0, -1, 5]])
def test_objects_without_a_usable_box_are_left_out(tmp_path, box):
    file = write(tmp_path, [20, 10, 50, 40], box)
    assert list(with_boxes(table(file, 0, 1))["image_id"]) == ["val2017/0"]
    assert with_boxes(table(write(tmp_path, [1, 1, 2, 2], size=(0, 0)), 0)).empty


def test_a_record_that_is_gone_is_named(tmp_path):
    file = write(tmp_path, [20, 10, 50, 40])
    with pytest.raises(InputError, match=r"instances_val2017\.json: its record 3 of 'annotations'"):
        with_boxes(table(file, 3))
    with pytest.raises(InputError, match=r"instances_val2017\.json: its record 3 of 'annotations'"):
        boxes_of(table(file, 3))


def test_boxes_in_pixels_are_those_of_the_records_and_must_be_there(tmp_path):
    file = write(tmp_path, [20, 10, 50, 40], [150, -10, 100, 30], [1, 2, 3])
    assert boxes_of(table(file, 1, 0)) == [(150, -10, 100, 30), (20, 10, 50, 40)]
    with pytest.raises(InputError, match=r"record 2 of 'annotations' has no usable 'bbox'"):
        boxes_of(table(file, 2))
