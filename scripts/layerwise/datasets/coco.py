"""Read one part (``train2017``, ``val2017``) of a data set in COCO 2017's format.

Format: https://cocodataset.org/#format-data - ``instances_PART.json`` with images, categories and boxes,
``captions_PART.json`` with captions, and one folder of images per part.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.errors import InputError


@dataclass(frozen=True)
class CocoPart:
    """Annotated images of one part.

    Attributes:
        images: one row per image: ``image_id`` (int), ``image`` (path). In the file's order.
        captions: one row per caption: ``caption_id``, ``image_id``, ``caption``.
        objects: one row per category present in an image: ``image_id``, ``category`` (name).
        categories: category names, in the file's order.
    """

    images: pd.DataFrame
    captions: pd.DataFrame
    objects: pd.DataFrame
    categories: list[str]


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
    )


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
