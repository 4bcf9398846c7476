"""Which pictures of a stimulus set are read, and for which words."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.datasets.boxes import BOX, with_boxes
from layerwise.errors import InputError
from layerwise.stimuli.items import read_items

# Words of objects that are not in a picture, read there too, as a control: rather those that are in many others.
ABSENT = 3


@dataclass(frozen=True)
class Sampled:
    """Pictures with annotated objects.

    Attributes:
        shown: a row per picture: ``item_id`` (one that shows it, for messages), ``image_id``, ``image`` (path).
        words: the names of all objects that may be asked for, in the order of the stimulus set.
        present: for each picture the places among ``words`` of the objects in it that have boxes.
        absent: the same of some that are not in it.
        boxes: ``image_id``, ``category``, and the box as shares of the picture.
    """

    shown: pd.DataFrame
    words: list[str]
    present: list[list[int]]
    absent: list[list[int]]
    boxes: pd.DataFrame

    @property
    def asked(self) -> list[list[int]]:
        """For each picture the words that are read in it, those of its own objects first."""
        return [own + others for own, others in zip(self.present, self.absent, strict=True)]


def sample_pictures(stimuli: Path, parts: Sequence[str], count: int, seed: int) -> Sampled:
    """Draw pictures of a stimulus set that show annotated objects with boxes.

    Args:
        stimuli: folder of the stimulus set.
        parts: official parts to draw from; empty for all.
        count: how many, at most.
        seed: of the draw.

    Raises:
        InputError: when no picture shows an object with a box.
    """
    items, description = read_items(stimuli)
    provenance = pd.read_parquet(stimuli / "provenance.parquet", columns=["item_id", "image_id", "part"])
    annotated = pd.read_parquet(stimuli / "objects.parquet")
    shown = items[["item_id", "image"]].merge(provenance, on="item_id", validate="one_to_one")
    shown = shown.drop_duplicates("image_id")
    if parts:
        shown = shown[shown["part"].isin(parts)]
    words = list(description["categories"]) or sorted(annotated["category"].unique())
    annotated = annotated[annotated["image_id"].isin(shown["image_id"]) & annotated["category"].isin(words)]
    boxes = with_boxes(annotated)
    shown = shown[shown["image_id"].isin(boxes["image_id"])].reset_index(drop=True)
    if shown.empty:
        raise InputError(
            f"{stimuli / 'objects.parquet'}: no picture shows an object with a box ('bbox' in the annotations, 'width' "
            "and 'height' of its picture); leave the stimulus set out of `lens.stimuli`"
        )
    rng = np.random.default_rng([seed, 22])
    if len(shown) > count:
        shown = shown.iloc[np.sort(rng.choice(len(shown), count, replace=False))].reset_index(drop=True)
    boxes = boxes[boxes["image_id"].isin(shown["image_id"])].reset_index(drop=True)
    boxed = boxes.groupby("image_id")["category"].agg(set)
    there = annotated.groupby("image_id")["category"].agg(set)
    pictures_with = np.array([sum(word in own for own in boxed) for word in words], float)
    present, absent = [], []
    for image_id in shown["image_id"]:
        present.append([place for place, word in enumerate(words) if word in boxed[image_id]])
        others = [place for place, word in enumerate(words) if word not in there[image_id] and pictures_with[place]]
        often = pictures_with[others] / pictures_with[others].sum()
        drawn = rng.choice(others, min(ABSENT, len(others)), replace=False, p=often).tolist() if others else []
        absent.append(sorted(drawn))
    return Sampled(shown, words, present, absent, boxes[["image_id", "category", *BOX]])
