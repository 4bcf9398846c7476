"""What is refused under ``tower`` when a study is planned."""

from collections.abc import Iterable

from layerwise.errors import InputError
from layerwise.planning.grid import Grid
from layerwise.planning.tower_grid import can_be_read


def check_tower(grid: Grid) -> None:
    """Refuse models and tasks that cannot be read, before anything is run.

    Raises:
        InputError: naming the key, what is wrong with it, and what can be named.
    """
    asked = grid.config.tower
    if asked is None:
        return
    check_models_read(grid, asked.models or (), "tower", "vision tower")
    check_tasks_of_pictures(grid, asked.tasks or (), "tower", "the tower sees each by itself")
    # A run without the models that are read reads nothing.
    if not grid.config.leave_out and not grid.tower_probe_cells():
        raise InputError(
            "tower: there is nothing to read: no task about the objects in one picture is asked of a model whose "
            "vision tower can be read; name others in tower.tasks, or leave tower out"
        )


def check_models_read(grid: Grid, models: Iterable[str], section: str, what: str) -> None:
    """Refuse models that do not see pictures, or whose code is not that of transformers, or is intervened in.

    Args:
        grid: of the study.
        models: those that ``section`` names.
        section: of the config, for the message.
        what: of the model is read, for the message.

    Raises:
        InputError: naming the first such model, and what can be named.
    """
    can = [name for name in grid.base_models() if can_be_read(grid, name)]
    for model in models:
        if model not in can:
            raise InputError(
                f"{section}.models: {model} is no model of this study whose {what} can be read: that needs one that "
                "sees pictures, runs on transformers and has no intervention; there is "
                f"{', '.join(can) or 'none'}"
            )


def check_tasks_of_pictures(grid: Grid, tasks: Iterable[str], section: str, why_one: str) -> None:
    """Refuse tasks whose labels are no classes, or whose items show several pictures.

    Args:
        grid: of the study.
        tasks: those that ``section`` names.
        section: of the config, for the message.
        why_one: why an item must show a single picture, for the message.

    Raises:
        InputError: naming the first such task.
    """
    for task in tasks:
        if task not in grid.class_tasks():
            raise InputError(
                f"{section}.tasks: {task} is no task of this study about classes; there is "
                f"{', '.join(grid.class_tasks()) or 'none'}"
            )
        if grid.pictures(grid.config.tasks[task].stimuli) > 1:
            raise InputError(f"{section}.tasks: items of {task} show several pictures, and {why_one}; leave it out")
