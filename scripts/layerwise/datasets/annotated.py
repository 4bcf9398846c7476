"""Images with captions and annotated objects, whatever format they come in."""

from dataclasses import dataclass

import pandas as pd

from layerwise.errors import InputError

# Centre of an object's box and its area, as shares of the image's width, height and area; NaN where the file gives no
# usable numbers, which :func:`check_measured` complains about when somebody needs them.
MEASURES = ["x", "y", "area"]
# What is known of an object; see :class:`AnnotatedPart`.
OBJECT_COLUMNS = ["image_id", "category", *MEASURES, "crowd", "attributes", "file", "record"]


@dataclass(frozen=True)
class AnnotatedPart:
    """Annotated images of one part.

    Attributes:
        images: one row per image: ``image_id`` (number or text), ``image`` (path). In the file's order.
        captions: one row per caption: ``caption_id``, ``image_id``, ``caption``.
        objects: one row per category present in an image: ``image_id``, ``category`` (name).
        categories: category names, in the file's order.
        annotations: one row per annotated object: ``image_id``, ``category``, :data:`MEASURES`, ``crowd`` (bool),
            ``attributes`` (JSON) and, for messages, ``file`` and ``record``.
        repeated: how many records were left out because they repeat another one.
    """

    images: pd.DataFrame
    captions: pd.DataFrame
    objects: pd.DataFrame
    categories: list[str]
    annotations: pd.DataFrame
    repeated: int = 0


def check_measured(annotations: pd.DataFrame, *measures: str) -> None:
    """Refuse annotations that lack one of some :data:`MEASURES`.

    Raises:
        InputError: naming file and record.
    """
    for measure in measures:
        lacking = annotations[annotations[measure].isna()]
        if len(lacking):
            what = (
                "'area' (pixels, 0 or more)"
                if measure == "area"
                else "'bbox' (x, y, width, height in pixels, in the image)"
            )
            raise InputError(
                f"{lacking['file'].iloc[0]}: record {lacking['record'].iloc[0]} of 'annotations' has no usable {what}, "
                "or its image no 'width' and 'height'; correct it, or leave out what asks about places and sizes"
            )
