"""The part of a grid under ``likeness``: which cells' layers are measured, and which models are compared.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from layerwise.planning.grid import Grid, StatesCell


def likeness_cells(grid: Grid) -> list[StatesCell]:
    """The states cells whose layers a study wants measured; see :meth:`layerwise.study.Study.likeness_cells`."""
    asked = grid.config.likeness
    if asked.measured is False:
        return []
    models = grid.base_models() if asked.models is None else asked.models
    cells = [cell for cell in grid.states_cells() if cell.model in grid.base_models()]
    prompts = _prompts(grid, cells)
    return [cell for cell in cells if cell.model in models and cell.prompt in prompts[cell.stimuli]]


def _prompts(grid: Grid, cells: list[StatesCell]) -> dict[str, list[str]]:
    """By stimulus set the prompts under which layers are measured."""
    asked: dict[str, list[str]] = {}
    for cell in cells:
        asked.setdefault(cell.stimuli, []).append(cell.prompt)
    if (named := grid.config.likeness.prompts) is not None:
        return dict.fromkeys(asked, named)
    found = {}
    for stimuli, prompts in asked.items():
        own = [prompt for prompt in prompts if grid.prompt(stimuli, prompt).is_own]
        texts = [prompt for prompt in prompts if grid.is_text_only(stimuli, prompt)]
        found[stimuli] = [max(dict.fromkeys(of_kind), key=of_kind.count) for of_kind in (own, texts) if of_kind]
    return found
