"""The part of a grid under ``pooled``: whose image tokens are kept, of which pictures, and which tasks read them.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.planning.lens_grid import readable_models
from layerwise.planning.recipes import adapter_file
from layerwise.planning.tower_grid import own_prompts

if TYPE_CHECKING:
    from layerwise.planning.grid import Grid


class TokensCell(NamedTuple):
    """The kept image tokens of one model, of pictures of one stimulus set."""

    model: str
    stimuli: str


class PooledCell(NamedTuple):
    """The probes of a task over one model's image tokens."""

    model: str
    task: str


def pooled_cells(grid: Grid) -> list[PooledCell]:
    """Every model x task whose labels are looked for in image tokens."""
    asked = grid.config.pooled
    if asked is None:
        return []
    models = readable_models(grid) if asked.models is None else asked.models
    return [
        PooledCell(model, task)
        for model in models
        for task in grid.tasks_of(model)
        if task in asked.tasks and own_prompts(grid, model, task)
    ]


def tokens_cells(grid: Grid) -> list[TokensCell]:
    """The models and stimulus sets of these, each once."""
    cells = (TokensCell(model, grid.config.tasks[task].stimuli) for model, task in pooled_cells(grid))
    return list(dict.fromkeys(cells))


def planned_tokens(grid: Grid, cell: TokensCell) -> dict[str, Any]:
    """What decides the tokens of a cell, besides model and stimuli; see :meth:`Grid.planned`."""
    asked = grid.config.pooled
    share = 1 if asked is None else asked.share
    return cell._asdict() | {
        "share": share,
        # With all pictures nothing is drawn.
        "seed": None if share == 1 else grid.config.seed,
        "layers": None if asked is None or asked.layers is None else sorted(asked.layers),
        "dtype": grid.config.states.dtype,
        "code": code_digest("keep_tokens.py", adapter_file(grid.config, cell.model)),
    }
