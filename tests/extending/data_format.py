"""Annotated images as one CSV file per part: a row for each object, and for each caption one without a category.

Goes to scripts/layerwise/datasets/formats/, with a line in FORMATS of scripts/layerwise/datasets/catalogue.py, and one
in ANNOTATED, which says what its data sets hold. A study then has

    datasets:
      mine: {format: rows, annotations: /data/mine, images: /data/mine/images}
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import pandas as pd

from layerwise.config.data import DatasetEntry, World
from layerwise.datasets.annotated import MEASURES, OBJECT_COLUMNS, AnnotatedPart
from layerwise.datasets.format import DataFormat, DataSize
from layerwise.datasets.table import read_table

COLUMNS = ["image", "kind", "value"]


class Entry(DatasetEntry):
    """A data set of one CSV file per part."""

    format: Literal["rows"]
    """How images and annotations are laid out."""


class _Rows(DataFormat[Entry]):
    entry_class = Entry

    def annotation_files(self, folder: str, parts: Sequence[str]) -> list[Path]:
        return [Path(folder) / f"{part}.csv" for part in parts]

    def size(self, world: World | None) -> DataSize:
        return DataSize(images={}, characters=40, categories=10, category_characters=7)


class _Source:
    # Parts are called train, dev, val and test.
    parts: ClassVar[Mapping[str, str]] = {}

    def files(self, annotations: str | Path, part: str) -> list[Path]:
        return [Path(annotations) / f"{part}.csv"]

    def read(self, annotations: str | Path, images: str | Path, parts: Sequence[str]) -> dict[str, AnnotatedPart]:
        tables = {part: read_table(self.files(annotations, part)[0], COLUMNS) for part in parts}
        objects = {part: table[table["kind"] == "object"] for part, table in tables.items()}
        categories = sorted({category for table in objects.values() for category in table["value"]})
        return {part: _part(table, objects[part], categories, Path(images)) for part, table in tables.items()}


def _part(table: pd.DataFrame, objects: pd.DataFrame, categories: list[str], images: Path) -> AnnotatedPart:
    captions = table[table["kind"] == "caption"]
    # Nothing is known of places and sizes.
    known = objects.rename(columns={"image": "image_id", "value": "category"}).assign(
        **dict.fromkeys(MEASURES, float("nan")), crowd=False, attributes=json.dumps({}), file="", record=objects.index
    )
    names = table["image"].drop_duplicates()
    return AnnotatedPart(
        images=pd.DataFrame({"image_id": names, "image": [str(images / name) for name in names]}),
        captions=pd.DataFrame(
            {"caption_id": captions.index, "image_id": captions["image"], "caption": captions["value"]}
        ),
        objects=known[["image_id", "category"]].drop_duplicates(ignore_index=True),
        categories=categories,
        annotations=known[OBJECT_COLUMNS],
    )


FORMAT = _Rows()
ANNOTATED_SOURCE = _Source()
