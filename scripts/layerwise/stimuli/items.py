"""The stimuli contract: ``items.parquet`` (what a model is shown) and its side files.

``items.parquet`` has one row per item: ``item_id``, ``image`` (path), ``image_sha256``, ``text``, ``category``, and a
column for each further placeholder of the kind's prompts, such as ``first`` and ``second``. Of items with several
pictures, ``image`` has a path per line, ``image_sha256`` is one checksum of all, and ``picture_sha256`` has that of
each, one per line (:mod:`layerwise.several_pictures`). The table holds no label and no split. Those are in
``provenance.parquet``: ``item_id``, ``image_id`` (an id per line), ``group`` (what must stay on one side of a split: an
image, images that are shown together, or a pair of images that share captions), ``part`` (official part of the data
set), labels in columns named ``label:...`` (classes) and ``number:...`` (numbers), missing where an item lacks the
label, and, for category pairs, ``category``. ``stimuli.json`` holds counts, sources and the digest of the items'
content, which hidden states are bound to; ``pictures``, how many an item shows, if more than one; of a table also
``labels``: by name the ``classes``, or the ``unit`` of a number.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.descriptions import read_description
from layerwise.errors import InputError
from layerwise.several_pictures import each, joined_checksum

ITEM_COLUMNS = ["item_id", "image", "image_sha256", "text", "category"]
# Of items with several pictures: the checksum of each, one a line.
EACH_SHA256 = "picture_sha256"


def further_columns(items: pd.DataFrame) -> list[str]:
    """The columns of placeholders that only some kinds have, by name."""
    return sorted(set(items) - {*ITEM_COLUMNS, EACH_SHA256})


def items_digest(items: pd.DataFrame, categories: list[str]) -> str:
    """SHA-256 over what the models are shown: ids, image contents, texts, categories. Paths do not count."""
    digest = hashlib.sha256(json.dumps(categories).encode())
    for row in items[["item_id", "image_sha256", "text", "category", *further_columns(items)]].itertuples(index=False):
        # JSON keeps the fields apart: ("a", "bc") and ("ab", "c") must not read the same.
        digest.update(json.dumps([None if pd.isna(value) else value for value in row]).encode())
    return digest.hexdigest()


def described_stimuli(folder: str | Path) -> dict[str, Any]:
    """``stimuli.json`` of a stimulus set."""
    return read_description(Path(folder) / "stimuli.json", "digest")


def read_items(folder: str | Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the items and ``stimuli.json`` of a stimulus set, checked against each other.

    Raises:
        InputError: when a column is missing or the items are not those that ``stimuli.json`` describes.
    """
    folder = Path(folder)
    items = pd.read_parquet(folder / "items.parquet")
    description = described_stimuli(folder)
    if missing := [column for column in ITEM_COLUMNS if column not in items]:
        raise InputError(f"{folder / 'items.parquet'}: there is no column {missing[0]!r}")
    if items_digest(items, description["categories"]) != description["digest"]:
        raise InputError(f"{folder}: items.parquet is not the file that stimuli.json describes; delete both, run again")
    if EACH_SHA256 in items and any(
        items[EACH_SHA256].map(lambda cell: joined_checksum(each(cell))) != items["image_sha256"]
    ):
        raise InputError(
            f"{folder / 'items.parquet'}: {EACH_SHA256} is not what image_sha256 says; delete it, run again"
        )
    return items, description


def pictures_of(description: Mapping[str, Any]) -> int:
    """How many pictures each item of a stimulus set shows, by its ``stimuli.json``."""
    return int(description.get("pictures", 1))
