"""Put an item's text or categories into a prompt's wording."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from layerwise.errors import InputError
from layerwise.several_pictures import place
from layerwise.stimuli.items import further_columns
from layerwise.stimuli.picture_places import IMAGE, left_out, without


def check_cue(name: str, prompt: dict[str, Any], categories: Sequence[str]) -> None:
    """Refuse a category list that names a category unknown to the stimulus set.

    Raises:
        InputError: naming the prompt and the category.
    """
    for category in prompt.get("categories", []):
        if category not in categories:
            raise InputError(f"prompt {name}: there is no category {category!r} among {', '.join(categories)}")


def render_prompts(prompt: dict[str, Any], items: pd.DataFrame, categories: Sequence[str]) -> list[str]:
    """The user's turn for each item.

    Only the prompt's own placeholders are replaced; braces in a caption stay what they are. Where ``{image 1}`` places
    a picture, there is its :func:`layerwise.several_pictures.place`; the place of a picture that the prompt leaves out
    vanishes, and the pictures behind it move up.
    """
    listed = ", ".join(prompt.get("categories") or categories)

    columns = [*(column for column in ("text", "category") if column in items), *further_columns(items)]
    placeholder = re.compile(rf"\{{({'|'.join(map(re.escape, ['categories', *columns]))})\}}|{IMAGE.pattern}")
    wording = without(prompt["text"], left_out(prompt))

    def render(*row: str) -> str:
        values = dict(zip(columns, row, strict=True)) | {"categories": listed}
        return placeholder.sub(lambda match: place(int(match[2])) if match[1] is None else values[match[1]], wording)

    return [render(*row) for row in items[columns].itertuples(index=False)]


def unique_inputs(items: pd.DataFrame, prompts: Sequence[str]) -> tuple[pd.DataFrame, list[int]]:
    """What has to be run: one row per distinct (image, prompt).

    Without a category cue all pairs of an image read the same prompt and share one forward pass.

    Returns:
        The inputs - ``image``, ``prompt``, and ``item_id`` of the first item that needs them - and each item's row.
    """
    keyed = items[["item_id", "image", "image_sha256"]].assign(prompt=list(prompts))
    row = keyed.groupby(["image_sha256", "prompt"], sort=False).ngroup()
    inputs = keyed.loc[~row.duplicated(), ["item_id", "image", "prompt"]].reset_index(drop=True)
    return inputs, [int(r) for r in row]
