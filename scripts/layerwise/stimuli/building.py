"""What every kind of stimulus set is made of, and the checks that all of them go through."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from layerwise.datasets.annotated import OBJECT_COLUMNS
from layerwise.errors import InputError
from layerwise.stimuli.items import ITEM_COLUMNS, further_columns


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
        shown: ``item_id``, ``image``, and a column for each placeholder of the kind's prompts that items fill.
        provenance: ``item_id``, ``image_id``, ``group``, ``part``, ``label:...`` and ``number:...`` columns.
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


def finish_items(stimuli: Stimuli, checksums: Mapping[str, str]) -> pd.DataFrame:
    """The items table with image checksums and every column of the contract.

    Args:
        stimuli: as a builder makes them.
        checksums: SHA-256 of each image file, by path.

    Raises:
        InputError: on two items of one id.
    """
    items = stimuli.shown.copy()
    if (repeated := items.loc[items["item_id"].duplicated(), "item_id"]).size:
        raise InputError(f"two items have the id {repeated.iloc[0]!r}; ids must be unique")
    for column in ("text", "category"):
        if column not in items:
            items[column] = None
    items["image_sha256"] = items["image"].map(checksums)
    return items[ITEM_COLUMNS + further_columns(items)]
