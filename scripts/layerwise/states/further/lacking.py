"""Which items have no state at a position: no word, no object, or no image token that shows it. No torch."""

from typing import Any

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.states.shards import States
from layerwise.states.store import ROWS_PER_BLOCK

SPLITS = ("train", "val", "test")


def labels_with_states(
    states: States, position: str, labels: pd.DataFrame, task: dict[str, Any]
) -> tuple[pd.DataFrame, list[str], int]:
    """The labels of a task's items that have a state at a position: rows without one are zero in every entry.

    Args:
        states: of the cell.
        position: one that they hold.
        labels: of the task: ``item_id``, ``label``, ``y``, ``split``.
        task: ``task.json``, with ``task``, ``labels`` and ``classes``.

    Returns:
        The labels, the names of those that all classes still have items of in every split, and how many items of the
        task are left out.

    Raises:
        InputError: when no label is left.
    """
    # The final norm of a token is never zero.
    top = states.layer(position, len(states.layers) - 1)
    there = np.concatenate([top[i : i + ROWS_PER_BLOCK].any(1) for i in range(0, len(top), ROWS_PER_BLOCK)])
    with_state = np.asarray(states.item_ids, dtype=object)[there[states.row_of_item]]
    kept = labels[labels["item_id"].isin(with_state)]
    lacking = labels["item_id"].nunique() - kept["item_id"].nunique()
    seen = kept.groupby(["label", "split"])["y"].nunique().unstack(fill_value=0).reindex(columns=SPLITS, fill_value=0)
    full = seen.index[(seen >= len(task["classes"])).all(axis=1)]
    names = [name for name in task["labels"] if name in full]
    if not names:
        raise InputError(
            f"tasks.{task['task']}.positions: {lacking} of {labels['item_id'].nunique()} items have no state at "
            f"{position}, and among the others no label has items of every class in every split; leave the position out"
        )
    return kept[kept["label"].isin(names)], names, lacking
