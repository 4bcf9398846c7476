"""Read one part (``train2017``, ``val2017``) of a data set in COCO 2017's format.

Format: https://cocodataset.org/#format-data - ``instances_PART.json`` with images, categories and boxes,
``captions_PART.json`` with captions, and one folder of images per part. An object may have ``attributes``, a mapping
such as ``{"colour": "red"}``, which annotation tools write and COCO's own files lack.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.errors import InputError

# Centre of an object's box and its area, as shares of the image's width, height and area; NaN where the file gives no
# usable numbers, which :func:`check_measured` complains about when somebody needs them.
MEASURES = ["x", "y", "area"]


@dataclass(frozen=True)
class CocoPart:
    """Annotated images of one part.

    Attributes:
        images: one row per image: ``image_id`` (int), ``image`` (path). In the file's order.
        captions: one row per caption: ``caption_id``, ``image_id``, ``caption``.
        objects: one row per category present in an image: ``image_id``, ``category`` (name).
        categories: category names, in the file's order.
        annotations: one row per annotated object: ``image_id``, ``category``, :data:`MEASURES`, ``crowd`` (bool),
            ``attributes`` (JSON) and, for messages, ``file`` and ``record``.
    """

    images: pd.DataFrame
    captions: pd.DataFrame
    objects: pd.DataFrame
    categories: list[str]
    annotations: pd.DataFrame


def annotation_files(annotations: str | Path, part: str) -> list[Path]:
    """The files that :func:`read_part` reads."""
    return [Path(annotations) / f"{kind}_{part}.json" for kind in ("instances", "captions")]


def read_part(annotations: str | Path, images: str | Path, part: str) -> CocoPart:
    """Read images, captions and category presence of ``part``; the image files themselves need not be there yet.

    Raises:
        InputError: on a missing or malformed file, naming the record; on an annotation of an unknown image or
            category; on two images of one id.
    """
    instances_file, captions_file = annotation_files(annotations, part)
    instances, captions = _load(instances_file), _load(captions_file)
    image_table = _table(instances, "images", ["id", "file_name"], instances_file)
    category_table = _table(instances, "categories", ["id", "name"], instances_file)
    object_table = _table(instances, "annotations", ["image_id", "category_id"], instances_file)
    caption_table = _table(captions, "annotations", ["id", "image_id", "caption"], captions_file)

    for table, file, what in ((image_table, instances_file, "images"), (category_table, instances_file, "categories")):
        if (repeated := table.loc[table["id"].duplicated(), "id"]).size:
            raise InputError(f"{file}: two {what} have the id {repeated.iloc[0]}; ids must be unique")
    _check_known(object_table, "category_id", category_table["id"], instances_file, "categories")
    for table, file in ((object_table, instances_file), (caption_table, captions_file)):
        _check_known(table, "image_id", image_table["id"], file, "images")

    empty = [not (isinstance(caption, str) and caption.strip()) for caption in caption_table["caption"]]
    if any(empty):
        raise InputError(
            f"{captions_file}: record {empty.index(True)} of 'annotations' has an empty 'caption', or one that is no "
            "text; correct the record or take it out"
        )

    folder = Path(images) / part
    names = category_table.set_index("id")["name"]
    return CocoPart(
        images=pd.DataFrame(
            {"image_id": image_table["id"], "image": [str(folder / name) for name in image_table["file_name"]]}
        ),
        captions=caption_table.rename(columns={"id": "caption_id"})[["caption_id", "image_id", "caption"]],
        objects=pd.DataFrame(
            {"image_id": object_table["image_id"], "category": object_table["category_id"].map(names)}
        ).drop_duplicates(ignore_index=True),
        categories=list(category_table["name"]),
        annotations=_annotations(instances, object_table["category_id"].map(names), instances_file),
    )


def check_measured(annotations: pd.DataFrame, *measures: str) -> None:
    """Refuse annotations that lack one of some :data:`MEASURES`.

    Raises:
        InputError: naming file and record.
    """
    for measure in measures:
        lacking = annotations[annotations[measure].isna()]
        if len(lacking):
            what = "'area' (pixels, 0 or more)" if measure == "area" else "'bbox' (x, y, width, height in pixels)"
            raise InputError(
                f"{lacking['file'].iloc[0]}: record {lacking['record'].iloc[0]} of 'annotations' has no usable {what}, "
                "or its image no 'width' and 'height'; correct it, or leave out what asks about places and sizes"
            )


def _annotations(instances: dict[str, Any], categories: pd.Series, file: Path) -> pd.DataFrame:
    sizes = {image["id"]: _numbers([image.get("width"), image.get("height")], 2) for image in instances["images"]}
    rows = []
    for record, (annotation, category) in enumerate(zip(instances["annotations"], categories, strict=True)):
        width, height = (side if side > 0 else math.nan for side in sizes[annotation["image_id"]])
        left, top, box_width, box_height = _numbers(annotation.get("bbox"), 4)
        (area,) = _numbers([annotation.get("area")], 1)
        # COCO has boxes of no height, but none of a negative one.
        if box_width < 0 or box_height < 0:
            left = top = math.nan
        x, y = (left + box_width / 2) / width, (top + box_height / 2) / height
        share = area / (width * height) if area >= 0 else math.nan
        crowd, attributes = annotation.get("iscrowd", 0) == 1, annotation.get("attributes", {})
        if not isinstance(attributes, dict):
            raise InputError(
                f"{file}: record {record} of 'annotations' has 'attributes' that are no mapping such as "
                '{"colour": "red"}'
            )
        rows.append((annotation["image_id"], category, x, y, share, crowd, json.dumps(attributes), str(file), record))
    columns = ["image_id", "category", *MEASURES, "crowd", "attributes", "file", "record"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(MEASURES, float) | {"crowd": bool})


def _numbers(value: Any, count: int) -> list[float]:
    """So many finite numbers, or as many NaN."""
    whole = isinstance(value, list) and len(value) == count
    if whole and all(isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n) for n in value):
        return [float(n) for n in value]
    return [math.nan] * count


def _load(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise InputError(f"{file}: there is no such file; COCO 2017 calls its annotations instances_PART.json")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not valid JSON ({error}); download it again") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: not a COCO annotation file: its top level is no JSON object")
    return content


def _table(content: dict[str, Any], key: str, fields: list[str], file: Path) -> pd.DataFrame:
    """The records under ``key`` as a table of ``fields``; a record that lacks one is an error by its position."""
    records = content.get(key)
    if not isinstance(records, list):
        raise InputError(f"{file}: there is no list {key!r}; is this a COCO 2017 annotation file?")
    for position, record in enumerate(records):
        for field in fields:
            if not isinstance(record, dict) or field not in record:
                raise InputError(f"{file}: record {position} of {key!r} has no {field!r}")
    return pd.DataFrame([[record[field] for field in fields] for record in records], columns=fields)


def _check_known(table: pd.DataFrame, column: str, known: pd.Series, file: Path, what: str) -> None:
    unknown = table.index[~table[column].isin(known)]
    if unknown.size:
        value = table.at[unknown[0], column]
        raise InputError(
            f"{file}: record {unknown[0]} of 'annotations' has {column} {value}, but there is no such id in {what!r}"
        )
