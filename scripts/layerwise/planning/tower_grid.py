"""The part of a grid under ``tower``: which tasks are also probed in the vision tower and behind the projector.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.models.families import is_measured
from layerwise.models.site_names import ALL_PICTURES
from layerwise.planning.position_grid import positions_of
from layerwise.planning.recipes import adapter_file

if TYPE_CHECKING:
    from layerwise.planning.grid import Grid

# What is asked of an object that only the text names.
OF_ASKED = ("asked-attribute", "asked-centre")


class TowerCell(NamedTuple):
    """The tower's states of a stimulus set's pictures in one model."""

    model: str
    stimuli: str


class TowerProbeCell(NamedTuple):
    """The scores of a task's probes in one model's tower."""

    model: str
    task: str


def tower_probe_cells(grid: Grid) -> list[TowerProbeCell]:
    """Every model x task whose labels are looked for in the tower."""
    asked = grid.config.tower
    if asked is None:
        return []
    tasks = tower_tasks(grid)
    return [
        TowerProbeCell(model, task)
        for model in tower_models(grid)
        for task in grid.tasks_of(model)
        if task in tasks and own_prompts(grid, model, task)
    ]


def tower_cells(grid: Grid) -> list[TowerCell]:
    """The models and stimulus sets of these, each once."""
    cells = (TowerCell(model, grid.config.tasks[task].stimuli) for model, task in grid.tower_probe_cells())
    return list(dict.fromkeys(cells))


def tower_models(grid: Grid) -> list[str]:
    """The models whose tower is read."""
    asked = grid.config.tower
    if asked is None:
        return []
    if asked.models is not None:
        return list(asked.models)
    return [name for name in grid.base_models() if can_be_read(grid, name) and grid.config.models[name].draw_of is None]


def tower_tasks(grid: Grid) -> list[str]:
    """The tasks whose labels are looked for in the tower."""
    asked = grid.config.tower
    if asked is None:
        return []
    return [
        task
        for task in grid.class_tasks()
        if (_is_of_picture(grid, task) if asked.tasks is None else task in asked.tasks)
    ]


def own_prompts(grid: Grid, model: str, task: str) -> list[str]:
    """The prompts of a task that show a model the item's own picture."""
    stimuli = grid.config.tasks[task].stimuli
    cells = (cell for cell in grid.probe_cells() if (cell.model, cell.task) == (model, task))
    return [cell.prompt for cell in cells if grid.prompt(stimuli, cell.prompt).is_own]


def pooled_prompt(grid: Grid, model: str, task: str) -> str | None:
    """The prompt whose states at the image's tokens continue the tower's curve in the decoder: the first that has them.

    The tokens of an image that stands before the text are the same under every prompt, in a decoder that reads from
    left to right. None where none are kept.
    """
    stimuli, prompts = grid.config.tasks[task].stimuli, own_prompts(grid, model, task)
    in_main = [name for name in prompts if ALL_PICTURES in grid.positions(stimuli, name)]
    further = {cell.prompt for cell in grid.position_probes() if (cell.model, cell.task) == (model, task)}
    beside = [name for name in prompts if name in further and ALL_PICTURES in positions_of(grid, task, name)]
    return next(iter([*in_main, *beside]), None)


def compared_with_tower(grid: Grid) -> dict[str, dict[str, list[str]]]:
    """By model and task the prompts whose decoder is compared with the tower."""
    found: dict[str, dict[str, list[str]]] = {}
    for model, task in grid.tower_probe_cells():
        found.setdefault(model, {})[task] = own_prompts(grid, model, task)
    return found


def planned_tower(grid: Grid, cell: TowerCell) -> dict[str, Any]:
    """What decides a tower's states, besides model and stimuli; see :meth:`Grid.planned`."""
    code = code_digest("read_tower.py", adapter_file(grid.config, cell.model))
    return cell._asdict() | {"dtype": grid.config.states.dtype, "code": code}


def can_be_read(grid: Grid, model: str) -> bool:
    """Whether a model sees pictures and runs on transformers, so that its vision tower may be found."""
    return grid.sees(model) and is_measured(grid.config.models[model].adapter)


def _is_of_picture(grid: Grid, task: str) -> bool:
    """Whether a task's labels are of the picture alone, as far as the config tells."""
    entry = grid.config.tasks[task]
    if entry.question != "local" or grid.pictures(entry.stimuli) > 1:
        return False
    if entry.knowledge is not None:
        return entry.knowledge.about not in OF_ASKED
    return grid.config.stimuli[entry.stimuli].kind == "coco-objects"
