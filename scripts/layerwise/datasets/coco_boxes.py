"""The boxes of annotated objects in COCO's format, which stimulus sets do not keep: they name file and record.

A module of its own, so that what is read here makes no stimulus set stale.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.datasets.text_files import read_json
from layerwise.errors import InputError

BOX = ["left", "top", "right", "bottom"]


def with_boxes(objects: pd.DataFrame) -> pd.DataFrame:
    """Annotated objects with their boxes, as shares of the picture's width and height.

    Args:
        objects: ``image_id``, ``category``, ``file`` (an ``instances_PART.json``), ``record`` (of its annotations).

    Returns:
        The columns ``image_id``, ``category``, ``left``, ``top``, ``right``, ``bottom``, without objects whose record
        has no usable box or whose picture no size.

    Raises:
        InputError: when a file has no such record, naming it.
    """
    found = [_of_file(file, rows) for file, rows in objects.groupby("file", sort=False)]
    empty = pd.DataFrame(columns=["image_id", "category", *BOX]).astype(dict.fromkeys(BOX, float))
    return pd.concat([empty, *found], ignore_index=True) if found else empty


def _of_file(file: str | Path, rows: pd.DataFrame) -> pd.DataFrame:
    content = read_json(file, "COCO's instances_PART.json")
    sizes = {str(image["id"]): (image.get("width"), image.get("height")) for image in content["images"]}
    boxes = np.full((len(rows), 4), np.nan)
    for place, record in enumerate(rows["record"]):
        try:
            annotation = content["annotations"][record]
            size = sizes[str(annotation["image_id"])]
        except (IndexError, KeyError, TypeError) as error:
            raise InputError(
                f"{file}: its record {record} of 'annotations' is not the one that the stimuli were made from; make "
                "the stimuli again, or bring back the file"
            ) from error
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
