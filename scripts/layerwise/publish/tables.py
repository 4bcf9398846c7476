"""Scores, predictions and labels as Parquet files that hold ids, never pictures or texts."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.planning.grid import ProbeCell
from layerwise.study import Study
from layerwise.tasks.labels import read_task

PREDICTED = [
    "model",
    "task",
    "prompt",
    "layer",
    "label",
    "split",
    "item_id",
    "group",
    "text",
    "y",
    "truth",
    "pred",
    "predicted",
    "scores",
]
ESTIMATED = ["model", "task", "prompt", "layer", "label", "split", "item_id", "group", "text", "y", "estimate"]
# The ids of rows, and what a split keeps together.
IDS = ("item_id", "group")


def planned_tables(study: Study) -> list[str]:
    """The tables of all cells that a study makes; see :meth:`layerwise.study.Study.gathered_file`."""
    grid = study.grid
    cells = {
        "scores": grid.probe_cells(),
        "curves": grid.probe_cells(),
        "numbers": grid.number_cells(),
        "kinds": grid.kind_cells(),
        "sites": grid.site_cells(),
        "positions": grid.position_cells(),
        "task-positions": grid.position_probes(),
        "shortcuts": grid.shortcut_cells(),
        "tower": grid.tower_probe_cells(),
        "pooled": grid.pooled_cells(),
    }
    return [name for name, made in cells.items() if made]


def is_probed(study: Study, task: str) -> bool:
    """Whether some model is asked a task."""
    return any(cell.task == task for cell in [*study.grid.probe_cells(), *study.grid.number_cells()])


def stimuli_of(study: Study, cell: ProbeCell) -> str:
    """The stimulus set of a cell's task."""
    return study.config.tasks[cell.task].stimuli


def place_of(table: str) -> str:
    """Where a gathered table lies in the published folder."""
    return f"{table}.parquet" if table == "scores" else f"tables/{table}.parquet"


def estimates_file(study: Study, cell: ProbeCell) -> str:
    """The held-out estimates of a task about numbers."""
    return study.regression_file(cell).replace(".regression.parquet", ".estimates.parquet")


def predictions_of(study: Study, cell: ProbeCell, ids: Mapping[str, str]) -> pd.DataFrame:
    """The held-out predictions of a cell, with the names of its classes.

    Args:
        ids: what takes the place of ids that are private.
    """
    found = pd.read_parquet(study.predictions_file(cell))
    _, task = read_task(study.task_folder(cell.task))
    names = pd.Series(task["classes"], dtype=object)
    named = {"truth": names.loc[found["y"]].to_numpy(), "predicted": names.loc[found["pred"]].to_numpy()}
    return with_ids(found.assign(**cell._asdict(), **named), ids)[PREDICTED]


def estimates_of(study: Study, cell: ProbeCell, ids: Mapping[str, str]) -> pd.DataFrame:
    """The held-out estimates of a cell about numbers; see :func:`predictions_of`."""
    found = pd.read_parquet(estimates_file(study, cell)).assign(**cell._asdict())
    return with_ids(found, ids)[ESTIMATED]


def labels_of(study: Study, task: str, ids: Mapping[str, str]) -> pd.DataFrame:
    """The labels of a task with their splits, without the ids of pictures."""
    return with_ids(study.labels(task).drop(columns="image_id"), ids)


def with_ids(table: pd.DataFrame, ids: Mapping[str, str]) -> pd.DataFrame:
    """A table whose private ids are replaced."""
    return table.assign(**{name: shown_ids(table[name], ids) for name in IDS}) if ids else table


def shown_ids(column: pd.Series, ids: Mapping[str, str]) -> pd.Series:
    """A column of ids whose private ones are replaced."""
    return column.map(lambda each: ids.get(each, each))


def write_table(table: pd.DataFrame | pa.Table, file: Path) -> None:
    """Write a table without metadata: they may name folders, programs and their users."""
    made = pa.Table.from_pandas(table, preserve_index=False) if isinstance(table, pd.DataFrame) else table
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made.replace_schema_metadata(None), file)


def items_of(study: Study, stimuli: str, ids: Mapping[str, str]) -> pd.DataFrame:
    """What the ids of a stimulus set stand for: its texts, and each prompt as the model reads it; no picture."""
    found = study.items(stimuli).drop(columns="image")
    return with_ids(found.assign(image_id=shown_ids(found["image_id"], ids)), ids)
