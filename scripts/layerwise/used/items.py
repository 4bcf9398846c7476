"""Which items of a cell are run: a sample of its task's test items, in whole images. No torch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.stimuli.items import EACH_SHA256
from layerwise.stimuli.modalities import with_images
from layerwise.stimuli.prompts import render_prompts

# A killed job loses at most this many items, and so many texts about one image run over one prefix.
ITEMS_PER_PART = 16


@dataclass(frozen=True)
class Items:
    """The items of a cell in running order: those that are shown one image come together.

    Attributes:
        rows: ``item_id``, ``label``, ``y``, ``own_image`` (SHA-256 of the item's picture; of several pictures that of
            the first item of its group), and what the model is shown: ``image`` (path),
            ``image_sha256``, ``prompt``.
        classes: of the task.
        all: of the stimulus set, for the tokens of answers.
        categories: of the stimulus set.
    """

    rows: pd.DataFrame
    classes: list[str]
    all: pd.DataFrame
    categories: list[str]

    def parts(self) -> list[tuple[int, int]]:
        """Ranges of rows that are saved together. Images stay whole, as far as a part holds them."""
        parts: list[tuple[int, int]] = []
        for start, stop in self._units():
            if parts and stop - parts[-1][0] <= ITEMS_PER_PART:
                parts[-1] = parts[-1][0], stop
            else:
                parts.append((start, stop))
        return parts

    def _units(self) -> Iterator[tuple[int, int]]:
        start = 0
        for size in self.rows.groupby("image_sha256", sort=False).size():
            for first in range(start, start + size, ITEMS_PER_PART):
                yield first, min(first + ITEMS_PER_PART, start + size)
            start += size


def cell_items(
    items: pd.DataFrame,
    stimuli: Mapping[str, Any],
    labels: pd.DataFrame,
    task: Mapping[str, Any],
    cell: Mapping[str, Any],
) -> Items:
    """The items of a cell.

    Args:
        items, stimuli: ``items.parquet`` and ``stimuli.json``.
        labels, task: ``labels.parquet`` and ``task.json``.
        cell: ``task``, ``prompt_entry``, ``items`` (at most so many) and ``seed``.

    Raises:
        InputError: when an item has several labels, the task has no classes, or there are no test items.
    """
    name, prompt = cell["task"], cell["prompt_entry"]
    classes = [str(one) for one in task["classes"]]
    if len(classes) < 2:
        raise InputError(f"used.tasks: {name} has no classes, so that there is nothing to erase; leave it out")
    test = labels[labels["split"] == "test"]
    twice = test["item_id"].duplicated()
    if twice.any():
        raise InputError(
            f"used.tasks: {name} has several labels for the item {test['item_id'][twice].iloc[0]}, so that its prompt "
            "does not ask for one thing; take a task with one label per item"
        )
    # Seeded by the items, so that images are shuffled as where the states came from.
    shown = with_images(items, prompt, seed=int(stimuli["digest"][:8], 16))
    shown = shown.assign(
        own_image=items["image_sha256"], prompt=render_prompts(dict(prompt), items, stimuli["categories"])
    )
    columns = ["item_id", "image", "image_sha256", "own_image", "prompt"]
    rows = test[["item_id", "label", "y", "group"]].merge(shown[columns], on="item_id", validate="one_to_one")
    if len(rows) < len(test):
        lost = test.loc[~test["item_id"].isin(rows["item_id"]), "item_id"].iloc[0]
        raise InputError(f"used.tasks: the stimuli have no item {lost}, which {name} labels; make the task again")
    if rows.empty:
        raise InputError(f"used.tasks: {name} has no test items")
    sample = _sampled_groups if EACH_SHA256 in items else _sampled
    rows = sample(rows, cell["items"], cell["seed"]).drop(columns="group")
    rows = rows.sort_values(["image_sha256", "item_id"], kind="stable", ignore_index=True)
    return Items(rows, classes, items, list(stimuli["categories"]))


def _sampled(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """All items of some images, at most so many, but of one image at least."""
    sizes = rows.groupby("own_image").size()
    order = sizes.iloc[np.random.default_rng(seed).permutation(len(sizes))]
    fit = max(1, int((order.cumsum() <= most).sum()))
    return rows[rows["own_image"].isin(order.index[:fit])]


def _sampled_groups(rows: pd.DataFrame, most: int, seed: int) -> pd.DataFrame:
    """The same where items show several pictures. What counts as one image there is a group: in it, items share
    pictures, such as two frames in both orders, so that they are not independent, and none is balanced without the
    others. Of a group with too many items a sample is taken.
    """
    units = rows.groupby("group")["own_image"].transform("min")
    chosen = _sampled(rows.assign(own_image=units), most, seed)
    if len(chosen) > most:
        chosen = _sampled(rows.loc[chosen.index], most, seed)
    return chosen.assign(own_image=units)
