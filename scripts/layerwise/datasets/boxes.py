"""The boxes of annotated objects in COCO's format, read again from the file that annotates them.

Stimulus sets do not keep them: they name file and record. This is a module of its own, so that what is read here makes
no stimulus set stale.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.datasets.text_files import read_json
from layerwise.errors import InputError

# Left, top, width, height in pixels of the picture.
Box = tuple[float, float, float, float]
# The columns of a box as shares of its picture.
BOX = ["left", "top", "right", "bottom"]


def boxes_of(objects: pd.DataFrame) -> list[Box]:
    """The boxes of some objects, in pixels.

    Args:
        objects: rows of ``objects.parquet``, which name the file and the record of each.

    Raises:
        InputError: when a file or a record is not there any more, or has no box.
    """
    found: dict[tuple[str, int], Box] = {}
    for file, rows in objects.groupby("file"):
        content = _content(str(file))
        for record in rows["record"]:
            found[str(file), int(record)] = _in_pixels(str(file), int(record), _annotation(content, str(file), record))
    return [found[file, int(record)] for file, record in zip(objects["file"], objects["record"], strict=True)]


def with_boxes(objects: pd.DataFrame) -> pd.DataFrame:
    """Annotated objects with their boxes, as shares of the picture's width and height.

    Args:
        objects: ``image_id``, ``category``, and, as for :func:`boxes_of`, ``file`` and ``record``.

    Returns:
        The columns ``image_id``, ``category``, ``left``, ``top``, ``right``, ``bottom``, without objects whose record
        has no usable box or whose picture no size.

    Raises:
        InputError: when a file has no such record, naming it.
    """
    found = [_of_file(file, rows) for file, rows in objects.groupby("file", sort=False)]
    empty = pd.DataFrame(columns=["image_id", "category", *BOX]).astype(dict.fromkeys(BOX, float))
    return pd.concat([empty, *found], ignore_index=True) if found else empty


def _content(file: str | Path) -> Any:
    return read_json(file, "COCO's instances_PART.json")


def _annotation(content: Any, file: str | Path, record: int) -> dict[str, Any]:
    try:
        return dict(content["annotations"][record])
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise _other_file(file, record) from error


def _other_file(file: str | Path, record: int) -> InputError:
    return InputError(
        f"{file}: its record {record} of 'annotations' is not the one that the stimuli were made from; make the "
        "stimuli again, or bring back the file"
    )


def _in_pixels(file: str, record: int, annotation: dict[str, Any]) -> Box:
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(isinstance(number, int | float) for number in box):
        raise InputError(
            f"{file}: record {record} of 'annotations' has no usable 'bbox' (x, y, width, height in pixels); correct "
            "it, or leave out positions of objects"
        )
    return box[0], box[1], box[2], box[3]


def _of_file(file: str | Path, rows: pd.DataFrame) -> pd.DataFrame:
    content = _content(file)
    sizes = {str(image["id"]): (image.get("width"), image.get("height")) for image in content["images"]}
    boxes = np.full((len(rows), 4), np.nan)
    for place, record in enumerate(rows["record"]):
        annotation = _annotation(content, file, record)
        if (size := sizes.get(str(annotation.get("image_id")))) is None:
            raise _other_file(file, record)
        boxes[place] = _shares(annotation.get("bbox"), size)
    made = rows[["image_id", "category"]].reset_index(drop=True).join(pd.DataFrame(boxes, columns=BOX))
    return made.dropna(subset=BOX)


def _shares(box: object, size: Iterable[object]) -> list[float]:
    """A box as shares of its picture; NaN where the numbers are not usable."""
    try:
        x, y, width, height = map(float, box)  # type: ignore[call-overload]
        across, down = map(float, size)  # type: ignore[arg-type]
        ends = [x / across, y / down, (x + width) / across, (y + height) / down]
    except (TypeError, ValueError, ZeroDivisionError):
        return [np.nan] * 4
    # A box that begins beyond the picture is a mistake; one that reaches beyond is cut off.
    if width < 0 or height < 0 or ends[0] >= 1 or ends[1] >= 1 or ends[2] <= 0 or ends[3] <= 0:
        return [np.nan] * 4
    return np.clip(ends, 0, 1).tolist()
