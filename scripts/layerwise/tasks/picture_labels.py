"""Labels of the picture alone: those that a vision tower or image tokens, which have not read the text, could give."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from layerwise.errors import InputError


def check_of_pictures(task: str | Path, labels: pd.DataFrame, picture_of: Mapping[str, int]) -> None:
    """Refuse a task in which two items with the same picture have different classes of one label.

    Args:
        task: its folder, for the message.
        labels: ``item_id``, ``label``, ``y``.
        picture_of: by item the number of its picture.

    Raises:
        InputError: naming two such items, and the label.
    """
    known = labels.assign(picture=labels["item_id"].map(picture_of))
    first = known.groupby(["label", "picture"], sort=False)[["item_id", "y"]].transform("first")
    differ = known["y"] != first["y"]
    if differ.any():
        row = known[differ].iloc[0]
        raise InputError(
            f"{Path(task).name}: {first['item_id'][row.name]!r} and {row.item_id!r} show the same picture and differ "
            f"in {row.label!r}, so the label is not of the picture alone, and neither the vision tower nor image "
            "tokens in front of the text have read the text; name the other tasks in tower.tasks and pooled.tasks"
        )
