"""Which items stand for a cell: some of its own, no two of which share a picture or an input.

Items of one picture, or of one text where no picture is shown, are alike in every layer. If each counted as evidence
of its own, layers would look alike, and intervals would be too narrow. So items are drawn one for each picture.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from layerwise.several_pictures import each
from layerwise.stimuli.items import EACH_SHA256


def sample_items(
    items: pd.DataFrame | None, item_ids: Sequence[str], row_of_item: np.ndarray, n_items: int, seed: int
) -> np.ndarray:
    """Draw items that share no picture and no input.

    Args:
        items: of the stimulus set; None where pictures do not matter, because they are not shown.
        item_ids: of the cell, in its order.
        row_of_item: shape (items,), the input of each.
        n_items: how many are wanted.
        seed: of the draw. Models that are shown the same get the same items.

    Returns:
        Shape (n,), places among ``item_ids`` in order of their rows; fewer than ``n_items`` where there are no more.
    """
    pictures = pd.Series(index=range(len(item_ids)), dtype=object)
    if items is not None:
        column = EACH_SHA256 if EACH_SHA256 in items else "image_sha256"
        pictures = items.set_index("item_id")[column].reindex(item_ids)
    seen: set[str] = set()
    chosen = []
    for place in np.random.default_rng(seed).permutation(len(item_ids)):
        cell = pictures.iloc[place]
        shown = {f"row {row_of_item[place]}", *([] if pd.isna(cell) else each(cell))}
        if seen.isdisjoint(shown):
            seen |= shown
            chosen.append(place)
        if len(chosen) == n_items:
            break
    places = np.array(chosen, dtype=np.int64)
    return places[np.argsort(row_of_item[places])]
