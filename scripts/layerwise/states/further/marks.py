"""What of each item is read at a further position. No torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.datasets.boxes import boxes_of
from layerwise.errors import InputError
from layerwise.models.marked.prompts import Mark
from layerwise.models.token_names import OF_OBJECT, named_by, word_of
from layerwise.stimuli.prompts import render_prompts
from layerwise.stimuli.word_places import spans_of_placeholder, spans_of_word


def marks_at(
    position: str, folder: Path, items: pd.DataFrame, prompt: dict[str, Any], categories: Sequence[str]
) -> list[Mark | None]:
    """What a position is about in each item; None for items that have no such position.

    Args:
        position: its name.
        folder: of the stimulus set.
        items: of the stimulus set.
        prompt: its config entry.
        categories: of the stimulus set.

    Raises:
        InputError: when no item has it, or an object has no box.
    """
    if position in OF_OBJECT:
        found = _objects(OF_OBJECT[position], folder, items)
    elif (placeholder := named_by(position)) is not None:
        found = [span and Mark(span) for span in spans_of_placeholder(placeholder, prompt, items, categories)]
    elif (word := word_of(position)) is not None:
        found = [span and Mark(span) for span in spans_of_word(word, render_prompts(prompt, items, categories))]
    else:
        return [Mark()] * len(items)
    if not any(found):
        raise InputError(
            f"{folder}: no item has the position {position} with the prompt {prompt['text']!r}; leave it out"
        )
    return found


def _objects(placeholder: str, folder: Path, items: pd.DataFrame) -> list[Mark | None]:
    """The boxes of the object that each item names, all that the picture has of it; crowd regions are no objects."""
    objects = pd.read_parquet(folder / "objects.parquet")
    pictures = pd.read_parquet(folder / "provenance.parquet", columns=["item_id", "image_id"])
    asked = items[["item_id"]].assign(category=items[placeholder]).merge(pictures, on="item_id", how="left")
    objects = objects[~objects["crowd"]].merge(asked[["image_id", "category"]].drop_duplicates())
    boxes: dict[tuple[str, str], list[tuple[float, float, float, float]]] = {}
    for image_id, category, box in zip(objects["image_id"], objects["category"], boxes_of(objects), strict=True):
        boxes.setdefault((image_id, category), []).append(box)
    found = [boxes.get((row.image_id, row.category)) for row in asked.itertuples()]
    return [Mark(boxes=tuple(own)) if own else None for own in found]
