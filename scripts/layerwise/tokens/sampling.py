"""Which pictures of a stimulus set have their image tokens kept."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.datasets.boxes import BOX, with_boxes
from layerwise.errors import InputError
from layerwise.states.pictures.program import PROMPT
from layerwise.stimuli.items import read_items
from layerwise.stimuli.prompts import unique_inputs


@dataclass(frozen=True)
class Drawn:
    """Some distinct pictures of a stimulus set, and all items that show one of them.

    Attributes:
        inputs: a row per picture: ``item_id`` (one that shows it, for messages), ``image``, ``prompt``.
        image_id: of each picture.
        item_ids: the items, in the stimuli's order.
        row_of_item: the picture that each shows, a row of ``inputs``.
        boxes: of objects in these pictures: ``picture`` (a row of ``inputs``), ``category``, and the box as shares of
            the picture's width and height; empty where nothing is annotated.
    """

    inputs: pd.DataFrame
    image_id: list[str]
    item_ids: list[str]
    row_of_item: np.ndarray
    boxes: pd.DataFrame


def draw_pictures(stimuli: Path, share: float, seed: int | None) -> Drawn:
    """Draw a share of the distinct pictures of a stimulus set, of each official part, and at least one of each.

    Args:
        stimuli: folder of the stimulus set, whose items show one picture each.
        share: of the pictures, above 0 and at most 1.
        seed: of the draw; not used for a share of 1.

    Raises:
        InputError: when an item shows no picture, or a file of boxes is not the one that the stimuli were made from.
    """
    items, description = read_items(stimuli)
    if items["image"].isna().any():
        item = items.loc[items["image"].isna(), "item_id"].iat[0]
        raise InputError(f"{stimuli / 'items.parquet'}: {item} shows no picture; leave its tasks out of pooled.tasks")
    inputs, row_of_item = unique_inputs(items, [PROMPT] * len(items))
    provenance = pd.read_parquet(stimuli / "provenance.parquet", columns=["item_id", "image_id", "part"])
    told = inputs[["item_id"]].merge(provenance, on="item_id", how="left", validate="one_to_one")
    chosen = _drawn(told["part"], share, seed)
    new_row = np.full(len(inputs), -1)
    new_row[chosen] = np.arange(len(chosen))
    rows = new_row[row_of_item]
    image_id = told["image_id"].iloc[chosen].tolist()
    return Drawn(
        inputs=inputs.iloc[chosen].reset_index(drop=True),
        image_id=image_id,
        item_ids=items["item_id"][rows >= 0].tolist(),
        row_of_item=rows[rows >= 0],
        boxes=_boxes(stimuli / "objects.parquet", description.get("categories") or [], image_id),
    )


def _drawn(parts: pd.Series, share: float, seed: int | None) -> np.ndarray:
    """The places of the pictures that are drawn, in order; ``parts`` has the official part of each."""
    if share == 1:
        return np.arange(len(parts))
    rng = np.random.default_rng([seed or 0, 23])
    # Pictures without an official part are one part.
    groups = parts.fillna("").groupby(parts.fillna("")).indices
    drawn = [rng.permutation(groups[part])[: max(1, round(share * len(groups[part])))] for part in sorted(groups)]
    return np.sort(np.concatenate(drawn))


def _boxes(file: Path, words: list[str], image_id: list[str]) -> pd.DataFrame:
    if not file.exists():
        return pd.DataFrame(columns=["picture", "category", *BOX])
    annotated = pd.read_parquet(file)
    annotated = annotated[annotated["image_id"].isin(image_id)]
    if words:
        annotated = annotated[annotated["category"].isin(words)]
    boxes = with_boxes(annotated)
    row_of = {name: row for row, name in enumerate(image_id)}
    return boxes.assign(picture=boxes["image_id"].map(row_of))[["picture", "category", *BOX]].reset_index(drop=True)
