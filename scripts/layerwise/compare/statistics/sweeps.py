"""The sweeps of a study, read one cell after the other."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from layerwise.compare.inputs import Given
from layerwise.compare.statistics.answered import named_cells
from layerwise.compare.statistics.swept import Swept
from layerwise.compare.statistics.used_above import Above
from layerwise.errors import InputError
from layerwise.used.results import read_above, read_sweep


def given_sweeps(given: Given, options: Mapping[str, Any]) -> list[Swept]:
    """The sweeps of the cells that the option ``used`` names.

    Raises:
        InputError: a table is missing or damaged, or no cell is named.
    """
    cells = [_swept(cell, path) for cell, path in _paths(given.path("sweeps"), options, "parquet")]
    if not cells:
        raise InputError("no concept was erased; name tasks in `used`, or leave this table out")
    return cells


def given_above(given: Given, options: Mapping[str, Any]) -> Iterator[Above]:
    """What kept probes find above erased blocks, of the cells that the option ``used`` names.

    Raises:
        InputError: a table is missing or damaged, or a task has no description.
    """
    for (model, task, prompt), path in _paths(given.path("sweeps"), options, "above.parquet"):
        if task not in given.tasks:
            raise InputError(f"no task.json describes {task!r}; give one for every task whose concept is erased")
        above = read_above(path)
        yield Above(model, given.tasks[task], prompt, above.told.blocks, above.table, above.margins, str(path))


def _swept(cell: tuple[str, str, str], path: Path) -> Swept:
    sweep = read_sweep(path)
    return Swept.of(cell, sweep.table, sweep.scores, sweep.told.blocks, str(path))


def _paths(folder: Path, options: Mapping[str, Any], suffix: str) -> Iterator[tuple[tuple[str, str, str], Path]]:
    for cell in named_cells(options["used"]):
        model, task, prompt = cell
        yield cell, folder / model / task / f"{prompt}.{suffix}"
