"""What is refused under ``used`` when a study is planned: what cannot be erased, steered or asked for."""

from layerwise.errors import InputError
from layerwise.planning.grid import Grid
from layerwise.planning.grid_checks import check_prompt_names, find, runs_authors_code
from layerwise.planning.used_grid import POSITION, asks_for, has_several_labels, used_models


def check_used(grid: Grid) -> None:
    """Refuse a section ``used`` that cannot be run.

    Raises:
        InputError: naming the key, what does not fit, and what to change.
    """
    config, asked = grid.config, grid.config.used
    if asked is None:
        return
    if not config.probes.keep:
        raise InputError(
            "used: states are steered along kept probes, and kept probes read the layers above; set `probes.keep` to "
            "true, or leave the section out"
        )
    if config.states.positions[0] != POSITION:
        raise InputError(
            f"used: the last token's states are changed, and probes read {config.states.positions[0]}, the first of "
            f"`states.positions`; name {POSITION} first"
        )
    for task in asked.tasks:
        _check_task(grid, task)
    check_prompt_names(config, "used.prompts", asked.prompts or [])
    for model in asked.models or []:
        _check_model(grid, model)
    # A run without the models that are swept sweeps nothing.
    if not config.leave_out:
        _check_something_is_run(grid)


def _check_task(grid: Grid, name: str) -> None:
    where, task = f"used.tasks: {name}", find(grid.config.tasks, name, "used.tasks", "`tasks`")
    if task.is_number:
        raise InputError(f"{where} is about numbers, and only classes are erased; leave it out")
    if has_several_labels(grid, name):
        raise InputError(
            f"{where} has several labels for an item, and one concept is erased at a time; name a task with one "
            "label, such as one with `labels: [ONE]`"
        )
    if not any(asks_for(grid, name, prompt) for prompt in grid.prompts(task.stimuli)):
        classes = ", ".join(grid.classes_of(name) or ())
        raise InputError(
            f"{where}: no prompt of stimuli.{task.stimuli} asks for its classes{f' ({classes})' if classes else ''}; "
            "name one that has `answers` for all of them, the same words for all items (and {category}, where items "
            "ask for one), or leave the task out"
        )


def _check_model(grid: Grid, name: str) -> None:
    where, entry = f"used.models: {name}", find(grid.config.models, name, "used.models", "`models`")
    if entry.intervention is not None:
        raise InputError(f"{where} has an intervention, and states are changed in models without; leave it out")
    if runs_authors_code(grid.config, name):
        raise InputError(
            f"{where}: its adapter {entry.adapter} runs its authors' code, whose blocks are not changed; leave it out"
        )


def _check_something_is_run(grid: Grid) -> None:
    """Every task, prompt and model that is named has a cell."""
    asked, cells = grid.config.used, grid.used_cells()
    assert asked is not None
    if not used_models(grid):
        raise InputError("used: no model runs on the adapter generic or text; name others in `used.models`")
    for key, named, there in (
        ("tasks", asked.tasks, {cell.task for cell in cells}),
        ("prompts", asked.prompts or [], {cell.prompt for cell in cells}),
        ("models", asked.models or [], {cell.model for cell in cells}),
    ):
        for name in named:
            if name not in there:
                raise InputError(
                    f"used.{key}: nothing is run for {name}. A used model must be asked, by its `prompts` and `tasks`, "
                    "a used task under a used prompt that has `answers` for all of the task's classes; name more under "
                    f"`used`, or leave {name} out"
                )
