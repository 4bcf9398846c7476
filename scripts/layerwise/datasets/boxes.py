"""The boxes of annotated objects, read again from the file that annotates them."""

from typing import Any

import pandas as pd

from layerwise.datasets.text_files import read_json
from layerwise.errors import InputError

# Left, top, width, height in pixels of the picture.
Box = tuple[float, float, float, float]


def boxes_of(objects: pd.DataFrame) -> list[Box]:
    """The boxes of some objects.

    Args:
        objects: rows of ``objects.parquet``, which name the file and the record of each.

    Raises:
        InputError: when a file or a record is not there any more, or has no box.
    """
    found: dict[tuple[str, int], Box] = {}
    for file, rows in objects.groupby("file"):
        records = read_json(str(file), "COCO's instances_PART.json").get("annotations", [])
        for record in rows["record"]:
            found[str(file), int(record)] = _box(str(file), records, int(record))
    return [found[file, int(record)] for file, record in zip(objects["file"], objects["record"], strict=True)]


def _box(file: str, records: list[Any], record: int) -> Box:
    box = records[record].get("bbox") if record < len(records) and isinstance(records[record], dict) else None
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(number, int | float) for number in box):
        raise InputError(
            f"{file}: record {record} of 'annotations' has no usable 'bbox' (x, y, width, height in pixels); correct "
            "it, or leave out positions of objects"
        )
    return box[0], box[1], box[2], box[3]
