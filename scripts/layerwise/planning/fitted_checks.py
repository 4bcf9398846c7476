"""What is refused when a study is planned of interventions that erase a concept or steer along one."""

from layerwise.errors import InputError
from layerwise.planning.grid import FittedOn, Grid, ProbeCell
from layerwise.planning.grid_checks import find
from layerwise.planning.used_grid import POSITION, asks_one_thing, has_several_labels


def check_fitted(grid: Grid) -> None:
    """Refuse a concept that cannot be fitted.

    Raises:
        InputError: naming the key, what does not fit, and what to change.
    """
    for name, model in grid.config.models.items():
        on = grid.fitted_on(name)
        if on is not None and model.intervention is not None:
            where = f"models.{name}.intervention.{model.intervention.kind}"
            _check_task(grid, on, where)
            _check_cell(grid, on, where)
            _check_position(grid, on, where)
            if model.intervention.kind == "steer":
                _check_toward(grid, on, where, model.intervention.how.entry().get("toward"))


def _check_task(grid: Grid, on: FittedOn, where: str) -> None:
    """The task has one class per item, and its items are asked this prompt."""
    name, where = on.cell.task, f"{where}.task"
    if find(grid.config.tasks, name, where, "`tasks`").is_number:
        raise InputError(f"{where}: {name} is about numbers, and a concept has classes; name another task")
    if has_several_labels(grid, name):
        raise InputError(
            f"{where}: {name} has several labels for an item, and a concept has one; name a task with one label, such "
            "as one with `labels: [ONE]`"
        )


def _check_cell(grid: Grid, on: FittedOn, where: str) -> None:
    """The model as it is is asked the task with this prompt, and the prompt tells items apart."""
    base, task, prompt = on.cell
    stimuli, where = grid.config.tasks[task].stimuli, f"{where}.prompt"
    wording = find(grid.prompts(stimuli), prompt, where, f"stimuli.{stimuli}")
    if not asks_one_thing(grid, grid.config.tasks[task], wording):
        raise InputError(
            f"{where}: {prompt} reads the same for all categories of an image, so that one state stands for several "
            "classes; name a prompt that holds {category}"
        )
    if ProbeCell(*on.cell) not in grid.probe_cells():
        raise InputError(
            f"{where}: the concept is fitted to states of {base}, which is not asked {prompt} in the task {task}; add "
            f"them to models.{base}.prompts and models.{base}.tasks, or name another prompt"
        )
    if on.at == "image" and wording.image == "none":
        raise InputError(f"{where}: {prompt} shows no image (`image: none`), whose tokens would be read; name another")


def _check_position(grid: Grid, on: FittedOn, where: str) -> None:
    """A concept at the last token is fitted to kept states, and beside kept probes."""
    config = grid.config
    if on.at != POSITION:
        return
    if config.states.positions[0] != POSITION:
        raise InputError(
            f"{where}.at: the concept is fitted to states of the last token, and probes read "
            f"{config.states.positions[0]}, the first of `states.positions`; name {POSITION} first"
        )
    if not config.probes.keep:
        raise InputError(
            f"{where}.at: a concept of the last token is fitted beside kept probes; set `probes.keep` to true, or "
            "leave the model out"
        )


def _check_toward(grid: Grid, on: FittedOn, where: str, toward: str | None) -> None:
    # A table's classes are known only when it is read.
    classes = grid.classes_of(on.cell.task)
    if classes is None:
        return
    if toward is None and len(classes) > 2:
        raise InputError(
            f"{where}.toward: the task {on.cell.task} has {len(classes)} classes; say toward which states are moved: "
            f"{', '.join(classes)}"
        )
    if toward is not None and toward not in classes:
        raise InputError(
            f"{where}.toward: the task {on.cell.task} has no class {toward!r}; it has {', '.join(classes)}"
        )
