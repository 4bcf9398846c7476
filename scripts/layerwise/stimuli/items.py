"""The stimuli contract: ``items.parquet`` (what a model is shown) and its side files.

``items.parquet`` has one row per item: ``item_id``, ``image`` (path), ``image_sha256``, ``text``, ``category``.
Nothing in it tells a label or a split. Those come from ``provenance.parquet``: ``item_id``, ``image_id``, ``group``
(what must stay on one side of a split: an image, or a pair of images that share captions), ``part`` (official part of
the data set), labels in columns named ``label:...`` and, for category pairs, ``category``. ``stimuli.json`` holds
counts, sources and the digest of the items' content, which hidden states are bound to.
"""

import hashlib
import json
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, UnidentifiedImageError

from layerwise.errors import InputError

ITEM_COLUMNS = ["item_id", "image", "image_sha256", "text", "category"]


@dataclass(frozen=True)
class Stimuli:
    """A stimulus set as its builder makes it.

    Attributes:
        shown: ``item_id``, ``image``, and ``text`` and ``category`` where the kind has them.
        provenance: ``item_id``, ``image_id``, ``group``, ``part``, ``label:...`` columns.
        categories: for category cues, the category names in order; empty elsewhere.
        notes: what was counted or left out, for ``stimuli.json``.
    """

    shown: pd.DataFrame
    provenance: pd.DataFrame
    categories: list[str]
    notes: dict[str, Any]


def check_images(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each image file, after checking that Pillow recognises it.

    Raises:
        InputError: naming the first file that is missing, empty or no image.
    """
    unique = sorted(set(paths))

    def check(path: str) -> str:
        try:
            content = Path(path).read_bytes()
            with Image.open(path) as image:
                image.verify()
        except FileNotFoundError as error:
            raise InputError(f"{path}: the image is missing; the annotations name it") from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: not a readable image ({error}); replace the file") from error
        return hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor() as pool:
        return dict(zip(unique, pool.map(check, unique), strict=True))


def file_sha256(file: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def finish_items(stimuli: Stimuli) -> pd.DataFrame:
    """The items table with image checksums and every column of the contract.

    Raises:
        InputError: on a missing image, or on two items of one id.
    """
    items = stimuli.shown.copy()
    if (repeated := items.loc[items["item_id"].duplicated(), "item_id"]).size:
        raise InputError(f"two items have the id {repeated.iloc[0]!r}; ids must be unique")
    for column in ("text", "category"):
        if column not in items:
            items[column] = None
    items["image_sha256"] = items["image"].map(check_images(items["image"]))
    return items[ITEM_COLUMNS]


def items_digest(items: pd.DataFrame, categories: list[str]) -> str:
    """SHA-256 over what the models are shown: ids, image contents, texts, categories. Paths do not count."""
    digest = hashlib.sha256(json.dumps(categories).encode())
    for row in items[["item_id", "image_sha256", "text", "category"]].itertuples(index=False):
        # JSON keeps the fields apart: ("a", "bc") and ("ab", "c") must not read the same.
        digest.update(json.dumps([None if pd.isna(value) else value for value in row]).encode())
    return digest.hexdigest()


def read_description(folder: str | Path) -> dict[str, Any]:
    """``stimuli.json`` of a stimulus set."""
    return json.loads((Path(folder) / "stimuli.json").read_text())


def read_items(folder: str | Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read the items and ``stimuli.json`` of a stimulus set, checked against each other.

    Raises:
        InputError: when a column is missing or the items are not those that ``stimuli.json`` describes.
    """
    folder = Path(folder)
    items = pd.read_parquet(folder / "items.parquet")
    description = read_description(folder)
    if missing := [column for column in ITEM_COLUMNS if column not in items]:
        raise InputError(f"{folder / 'items.parquet'}: there is no column {missing[0]!r}")
    if items_digest(items, description["categories"]) != description["digest"]:
        raise InputError(f"{folder}: items.parquet is not the file that stimuli.json describes; delete both, run again")
    return items, description
