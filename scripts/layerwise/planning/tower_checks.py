"""What is refused under ``tower`` when a study is planned."""

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
    for model in asked.models or ():
        if model not in grid.base_models() or not can_be_read(grid, model):
            can = [name for name in grid.base_models() if can_be_read(grid, name)]
            raise InputError(
                f"tower.models: {model} is no model of this study whose vision tower can be read: that needs one that "
                "sees pictures, runs on transformers and has no intervention; there is "
                f"{', '.join(can) or 'none'}"
            )
    for task in asked.tasks or ():
        if task not in grid.class_tasks():
            raise InputError(
                f"tower.tasks: {task} is no task of this study about classes; there is "
                f"{', '.join(grid.class_tasks()) or 'none'}"
            )
        if grid.pictures(grid.config.tasks[task].stimuli) > 1:
            raise InputError(
                f"tower.tasks: items of {task} show several pictures, and the tower sees each by itself; leave it out"
            )
    if not grid.tower_probe_cells():
        raise InputError(
            "tower: there is nothing to read: no task about the objects in one picture is asked of a model whose "
            "vision tower can be read; name others in tower.tasks, or leave tower out"
        )
