"""The part of a grid under ``probes.shortcuts``: which tasks are compared with what simple features reach.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.planning.recipes import adapter_file
from layerwise.stimuli.kind import LIST, placeholders

if TYPE_CHECKING:
    from layerwise.planning.grid import Grid

# Placeholders of an item's own words. A table's items may be the choices of a row.
WORDS = {"text", "choice"}


class ShortcutCell(NamedTuple):
    """The scores that shortcuts reach in one task, with the pictures as one model's vision tower shows them."""

    model: str
    task: str


class PicturesCell(NamedTuple):
    """The features of a stimulus set's pictures in one model."""

    model: str
    stimuli: str


def shortcut_cells(grid: Grid) -> list[ShortcutCell]:
    """Every model x task whose prompts show the item's own picture and a text, in tasks with a global question.

    Twins with random weights, models with an intervention and language models have none.
    """
    if not grid.config.probes.shortcuts:
        return []
    models = [name for name in grid.base_models() if grid.config.models[name].weights != "random" and grid.sees(name)]
    asked = {(cell.model, cell.task, cell.prompt) for cell in grid.probe_cells()}
    return [
        ShortcutCell(model, task)
        for model in models
        for task in grid.tasks_about("global")
        if any((model, task, prompt) in asked for prompt in shown_prompts(grid, task))
    ]


def pictures_cells(grid: Grid) -> list[PicturesCell]:
    """The models and stimulus sets of the shortcuts, each once."""
    return list(
        dict.fromkeys(PicturesCell(cell.model, grid.config.tasks[cell.task].stimuli) for cell in grid.shortcuts)
    )


def shown_prompts(grid: Grid, task: str) -> list[str]:
    """The prompts of a task that show the item's own picture and its text."""
    prompts = grid.prompts(grid.config.tasks[task].stimuli).items()
    return [name for name, prompt in prompts if prompt.is_own and WORDS & placeholders(prompt)]


def shortcut_columns(grid: Grid, task: str) -> list[str]:
    """The columns of the items whose words the shortcuts read: what all prompts with picture and text show."""
    prompts = grid.prompts(grid.config.tasks[task].stimuli)
    shown = [placeholders(prompts[name]) for name in shown_prompts(grid, task)]
    return sorted(set.intersection(*shown) - {LIST})


def text_prompts(grid: Grid, task: str) -> list[str]:
    """The prompts of a task that show the same text and nothing else: neither a picture nor a caption in its place."""
    prompts = grid.prompts(grid.config.tasks[task].stimuli).items()
    read = set(shortcut_columns(grid, task))
    return [
        name
        for name, prompt in prompts
        if prompt.image == "none" and WORDS & placeholders(prompt) and placeholders(prompt) - {LIST} <= read
    ]


def compared_prompts(grid: Grid) -> dict[str, dict[str, list[str]]]:
    """By task the prompts that are compared with its shortcuts, and those that give the text alone."""
    tasks = dict.fromkeys(cell.task for cell in grid.shortcuts)
    return {task: {"shown": shown_prompts(grid, task), "text": text_prompts(grid, task)} for task in tasks}


def planned_pictures(grid: Grid, cell: PicturesCell) -> dict[str, Any]:
    """What decides the features of pictures, besides model and stimuli; see :meth:`Grid.planned`."""
    return cell._asdict() | {"code": code_digest("embed_pictures.py", adapter_file(grid.config, cell.model))}
