"""Numbers the texts of a cell, so that items that read the same are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.stimuli.items import read_items
from layerwise.stimuli.prompts import render_prompts


def texts_read(stimuli: str | Path, cell: Mapping[str, Any], item_ids: Sequence[str]) -> np.ndarray:
    """A number for each item, shape (items,), that is equal where the cell's prompt reads the same.

    A prompt without placeholders reads the same for all items, and two equal captions are one text.

    Args:
        stimuli: folder of the stimulus set.
        cell: the states file's; its entries ``stimuli_digest`` and ``prompt_entry`` are used.
        item_ids: the items that the states file holds.

    Raises:
        InputError: when the states were made of other items.
    """
    items, description = read_items(stimuli)
    if cell.get("stimuli_digest") != description["digest"] or set(item_ids) - set(items["item_id"]):
        raise InputError(f"{stimuli}: the hidden states were made of other items; run the same command again")
    prompts = render_prompts(cell["prompt_entry"], items, description["categories"])
    numbers = pd.Series(pd.factorize(pd.Series(prompts))[0], index=items["item_id"])
    return numbers.loc[list(item_ids)].to_numpy(np.int32)
