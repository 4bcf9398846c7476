"""The headline test scores of each picture's tokens, beside those of the position that probes read."""

from collections.abc import Mapping

import pandas as pd

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.rows import headline_scores


def of_each_picture(
    positions: pd.DataFrame, scores: pd.DataFrame, tasks: Mapping[str, Task], position: str
) -> pd.DataFrame:
    """The headline test scores of all positions, cell by cell.

    Args:
        positions: Scores at the positions of single pictures, see :func:`layerwise.compare.inputs.read_positions`.
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions; they give the order.
        position: The one that the scores are of.

    Returns:
        A row per cell, position and layer; :mod:`layerwise.compare.picture_positions` lists the columns.
    """
    asked = {name: task for name, task in tasks.items() if (positions["task"] == name).any()}
    cells = positions[CELL].drop_duplicates()
    probed = headline_scores(scores, asked, "test").merge(cells, on=CELL).assign(position=position)
    labels = pd.DataFrame([(task.task, task.headline_label) for task in asked.values()], columns=["task", "label"])
    of_pictures = positions[positions["split"] == "test"].merge(labels, on=["task", "label"])
    # The same test items, and so the same baseline.
    majority = of_pictures.groupby(CELL)["chance"].first().rename("majority")
    both = pd.concat([probed, of_pictures], ignore_index=True).merge(majority, left_on=CELL, right_index=True)
    order = {name: place for place, name in enumerate(asked)}
    return both.sort_values("task", key=lambda column: column.map(order), kind="stable", ignore_index=True)
