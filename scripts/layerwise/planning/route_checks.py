"""What is refused under ``used.routes`` when a study is planned, and of the models that run with a route."""

from layerwise.config.routes import Route
from layerwise.errors import InputError
from layerwise.planning.grid import Grid, ProbeCell
from layerwise.planning.grid_checks import find, runs_authors_code
from layerwise.planning.route_grid import route_of, routes
from layerwise.planning.used_grid import asks_for, has_several_labels


def check_routes(grid: Grid) -> None:
    """Refuse routes that cannot be trained, and models that run with a route of another model or with none.

    Raises:
        InputError: naming the key, what does not fit, and what to change.
    """
    for name, route in routes(grid).items():
        where = f"used.routes.{name}"
        _check_model(grid, where, route)
        _check_task(grid, where, route)
    for name in grid.config.models:
        if (route_name := route_of(grid, name)) is not None:
            _check_routed(grid, name, route_name)


def _check_model(grid: Grid, where: str, route: Route) -> None:
    entry, where = find(grid.config.models, route.model, f"{where}.model", "`models`"), f"{where}.model: {route.model}"
    if entry.intervention is not None:
        raise InputError(f"{where} has an intervention, and a route is trained on the model as it is; name that one")
    if entry.weights == "random":
        raise InputError(f"{where} has random weights, and its answers mean nothing; name a trained model")
    if runs_authors_code(grid.config, route.model):
        raise InputError(f"{where}: its adapter {entry.adapter} runs its authors' code, whose head is not read")


def _check_task(grid: Grid, where: str, route: Route) -> None:
    config = grid.config
    task = find(config.tasks, route.task, f"{where}.task", "`tasks`")
    if task.is_number or has_several_labels(grid, route.task):
        what = "is about numbers" if task.is_number else "has several labels for an item"
        raise InputError(f"{where}.task: {route.task} {what}, and a route teaches one answer; name a task of one label")
    wording = find(grid.prompts(task.stimuli), route.prompt, f"{where}.prompt", f"stimuli.{task.stimuli}")
    if not asks_for(grid, route.task, route.prompt):
        raise InputError(
            f"{where}.prompt: {route.prompt} has no `answers` for the classes of {route.task}, the same words for all "
            "items; give them, or name another prompt"
        )
    if ProbeCell(route.model, route.task, route.prompt) not in grid.probe_cells():
        raise InputError(
            f"{where}: {route.model} is not asked {route.prompt} in the task {route.task}; add them to "
            f"models.{route.model}.prompts and models.{route.model}.tasks, or name another prompt"
        )
    if route.kind == "attention" and wording.image == "none":
        raise InputError(f"{where}.prompt: {route.prompt} shows no image, which attention reads; name another prompt")


def _check_routed(grid: Grid, model: str, name: str) -> None:
    where = f"models.{model}.intervention.route"
    route = find(routes(grid), name, f"{where}.name", "`used.routes`")
    if grid.base_of(model) != route.model:
        raise InputError(
            f"{where}.name: {name} is trained on {route.model}, and this entry differs from it in more than its "
            "intervention; give both the same keys, or name a route of its own"
        )
    if ProbeCell(model, route.task, route.prompt) not in grid.probe_cells():
        raise InputError(
            f"models.{model}: it is not asked {route.prompt} in the task {route.task}, which its route is trained on; "
            "add them to its `prompts` and `tasks`"
        )
    if route.kind != "attention":
        return
    for cell in grid.states_cells():
        if cell.model == model and grid.is_text_only(cell.stimuli, cell.prompt):
            raise InputError(
                f"models.{model}.prompts: {cell.prompt} of stimuli.{cell.stimuli} shows no image, which its route "
                "reads; name prompts with an image"
            )
