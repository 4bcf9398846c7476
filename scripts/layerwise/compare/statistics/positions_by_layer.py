"""The headline test scores at all positions of a text, cell by cell."""

from collections.abc import Mapping

import pandas as pd

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.rows import headline_scores
from layerwise.models.token_names import in_text_order


def at_each_position(
    positions: pd.DataFrame, scores: pd.DataFrame, tasks: Mapping[str, Task], position: str
) -> pd.DataFrame:
    """The headline test scores at all positions, and which of them validation prefers.

    Args:
        positions: Scores at further positions, see :func:`layerwise.compare.inputs.read_task_positions`.
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions; they give the order.
        position: The one that the scores are of.

    Returns:
        A row per cell, position and layer; :mod:`layerwise.compare.positions_by_layer` lists the columns.
    """
    asked = {name: task for name, task in tasks.items() if (positions["task"] == name).any()}
    cells = positions[CELL].drop_duplicates()
    labels = pd.DataFrame([(task.task, task.headline_label) for task in asked.values()], columns=["task", "label"])
    others = positions.merge(labels, on=["task", "label"])
    majority = headline_scores(scores, asked, "test", probe="majority").set_index(CELL)["value"]
    by_split = {}
    for split in ("val", "test"):
        own = headline_scores(scores, asked, split).merge(cells, on=CELL).assign(position=position, lacking=0)
        own["chance"] = majority.loc[pd.MultiIndex.from_frame(own[CELL])].to_numpy()
        by_split[split] = pd.concat([own, others[others["split"] == split]], ignore_index=True)
    where = [*CELL, "position", "layer"]
    val = by_split["val"][by_split["val"]["layer"] <= by_split["val"]["n_layers"]]
    best = val.loc[val.groupby(CELL)["value"].idxmax(), where].assign(best=True)
    table = by_split["test"].rename(columns={"chance": "majority"}).merge(best, on=where, how="left")
    table["best"] = table["best"].eq(True)
    place = {name: i for i, name in enumerate(in_text_order(table["position"].unique()))}
    order = {name: i for i, name in enumerate(asked)}
    return (
        table.assign(of_task=table["task"].map(order), at=table["position"].map(place))
        .sort_values(["of_task", "model", "prompt", "at", "layer"], kind="stable", ignore_index=True)
        .drop(columns=["of_task", "at"])
    )
