"""What every kind of stimulus set is made of, and the checks that all of them go through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from layerwise.datasets.annotated import OBJECT_COLUMNS
from layerwise.errors import InputError
from layerwise.several_pictures import MARK, each, joined, joined_checksum
from layerwise.stimuli.items import EACH_SHA256, ITEM_COLUMNS, further_columns


@dataclass(frozen=True)
class Sources:
    """Where a stimulus set is read from.

    Attributes:
        format: of its data set; empty for kinds that read none.
        annotations, images: folders of its data set.
        options: what else its data format tells, by option.
    """

    format: str = ""
    annotations: str = ""
    images: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stimuli:
    """A stimulus set as its builder makes it.

    Attributes:
        shown: ``item_id``, ``image``, and a column for each placeholder of the kind's prompts that items fill. Of items
            with several pictures, ``image`` has a line per picture (:func:`layerwise.several_pictures.joined`).
        provenance: ``item_id``, ``image_id`` (a line per picture), ``group``, ``part``, ``label:...`` and
            ``number:...`` columns. Groups of items that share a picture are joined later.
        categories: for category cues, the category names in order; empty elsewhere.
        notes: what was counted or left out, for ``stimuli.json``.
        objects: what is annotated in the images, with the columns
            :data:`layerwise.datasets.annotated.OBJECT_COLUMNS`; no rows for kinds without.
    """

    shown: pd.DataFrame
    provenance: pd.DataFrame
    categories: list[str]
    notes: dict[str, Any]
    objects: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=OBJECT_COLUMNS))


def pictures_by_id(stimuli: Stimuli, pictures: int = 1) -> pd.Series:
    """The file of each picture that items show, by its id.

    Args:
        stimuli: as a builder makes them.
        pictures: how many each item shows.

    Raises:
        InputError: when an item shows another number.
    """
    files: dict[str, str] = {}
    rows = zip(*(stimuli.shown[column] for column in ("item_id", "image")), stimuli.provenance["image_id"], strict=True)
    for item_id, image, image_id in rows:
        paths = each(image)
        if len(paths) != pictures and pictures == 1:
            raise InputError(f"item {item_id!r}: the path of its picture has a line break ({image!r}); rename the file")
        if len(paths) != pictures:
            raise InputError(f"item {item_id!r} shows {len(paths)} pictures, but each item must show {pictures}")
        for name, path in zip(each(image_id), paths, strict=True):
            files.setdefault(name, path)
    return pd.Series(files, name="image").rename_axis("image_id")


def finish_items(stimuli: Stimuli, checksums: Mapping[str, str]) -> pd.DataFrame:
    """The items table with image checksums and every column of the contract.

    Args:
        stimuli: as a builder makes them.
        checksums: SHA-256 of each image file, by path.

    Raises:
        InputError: on two items of one id, and on a text with the mark of a picture's place.
    """
    items = stimuli.shown.copy()
    if (repeated := items.loc[items["item_id"].duplicated(), "item_id"]).size:
        raise InputError(f"two items have the id {repeated.iloc[0]!r}; ids must be unique")
    for column in ("text", "category"):
        if column not in items:
            items[column] = None
    for column in ("text", "category", *further_columns(items)):
        marked = items[column].map(lambda cell: isinstance(cell, str) and MARK in cell)
        if marked.any():
            raise InputError(
                f"item {items.loc[marked, 'item_id'].iloc[0]!r}: its {column} has the character U+FFFC, which marks "
                "the place of a picture; take it out"
            )
    of_each = [[checksums[path] for path in each(image)] for image in items["image"]]
    items["image_sha256"] = list(map(joined_checksum, of_each))
    further = further_columns(items)
    if any(len(of_item) > 1 for of_item in of_each):
        items[EACH_SHA256] = list(map(joined, of_each))
        return items[[*ITEM_COLUMNS, EACH_SHA256, *further]]
    return items[[*ITEM_COLUMNS, *further]]
