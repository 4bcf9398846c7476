"""What every kind of stimulus set is made of, and the checks that all of them go through."""

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, UnidentifiedImageError

from layerwise.datasets.coco import MEASURES
from layerwise.errors import InputError
from layerwise.stimuli.items import ITEM_COLUMNS, PAIR_COLUMNS

# Those of layerwise.datasets.coco.CocoPart.annotations.
OBJECT_COLUMNS = ["image_id", "category", *MEASURES, "crowd", "attributes", "file", "record"]


@dataclass(frozen=True)
class Stimuli:
    """A stimulus set as its builder makes it.

    Attributes:
        shown: ``item_id``, ``image``, and ``text``, ``category``, ``first`` and ``second`` where the kind has them.
        provenance: ``item_id``, ``image_id``, ``group``, ``part``, ``label:...`` columns.
        categories: for category cues, the category names in order; empty elsewhere.
        notes: what was counted or left out, for ``stimuli.json``.
        objects: what is annotated in the images, with the columns :data:`OBJECT_COLUMNS`; no rows for kinds without.
    """

    shown: pd.DataFrame
    provenance: pd.DataFrame
    categories: list[str]
    notes: dict[str, Any]
    objects: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=OBJECT_COLUMNS))


def check_images(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each image file, after checking that Pillow can decode it.

    Raises:
        InputError: naming the first file that is missing, empty or no image.
    """
    unique = sorted(set(paths))

    def check(path: str) -> str:
        try:
            content = Path(path).read_bytes()
            with Image.open(path) as image:
                # Decoded to the end, or a file that was cut short would show only in the middle of an extraction; as
                # small as the format allows, which is enough for that.
                image.draft("RGB", (64, 64))
                image.load()
        except FileNotFoundError as error:
            if not (folder := Path(path).parent).is_dir():
                raise InputError(f"{folder}: there is no such folder, but annotations name its images") from error
            raise InputError(f"{path}: the image is missing; the annotations name it") from error
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise InputError(f"{path}: not a readable image ({error}); replace the file") from error
        return hashlib.sha256(content).hexdigest()

    with ThreadPoolExecutor() as pool:
        return dict(zip(unique, pool.map(check, unique), strict=True))


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
    return items[ITEM_COLUMNS + [column for column in PAIR_COLUMNS if column in items]]
