"""The part of a grid under ``used.routes``: what each route is trained on, and the models that run with one.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerwise.code_digest import code_digest
from layerwise.planning.recipes import adapter_file

if TYPE_CHECKING:
    from layerwise.config.routes import Route
    from layerwise.planning.grid import Grid


def routes(grid: Grid) -> dict[str, Route]:
    """The trained routes of a study, by name."""
    return {} if grid.config.used is None else dict(grid.config.used.routes)


def route_of(grid: Grid, model: str) -> str | None:
    """The name of the route that a model runs with; None for models without one."""
    intervention = grid.config.models[model].intervention
    return None if intervention is None or intervention.kind != "route" else intervention.how.entry()["name"]


def planned_route(grid: Grid, name: str) -> dict[str, Any]:
    """What decides a trained route, besides its states, labels and model; see :meth:`Grid.planned`."""
    entry = routes(grid)[name]
    return {
        "name": name,
        "kind": entry.kind,
        **entry.shape(),
        "prompt_entry": grid.answers_entry(grid.config.tasks[entry.task].stimuli, entry.prompt),
        "seed": grid.config.seed,
        "code": route_code(grid, name),
    }


def route_code(grid: Grid, name: str) -> str:
    """The digest of the code that trains a route. Only attention runs the model."""
    entry = routes(grid)[name]
    return code_digest(
        "train_route.py", *([adapter_file(grid.config, entry.model)] if entry.kind == "attention" else [])
    )
