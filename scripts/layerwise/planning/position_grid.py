"""The part of a grid about further positions in a text: where they are probed, and which states they take.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.errors import InputError
from layerwise.models.families import is_measured
from layerwise.models.token_names import OF_OBJECT, is_about_image, named_by, word_of
from layerwise.planning.recipes import model_files
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.kind import PLACEHOLDER, placeholders

if TYPE_CHECKING:
    from layerwise.planning.grid import Grid

# The program that decides states at further positions. The model's own modules are added.
CODE = "extract_position.py"


class PositionStates(NamedTuple):
    """The states of one cell at one position that its main file lacks."""

    model: str
    stimuli: str
    prompt: str
    position: str


class PositionProbes(NamedTuple):
    """The scores of a task at one further position."""

    model: str
    task: str
    prompt: str
    position: str


def probes_at(grid: Grid) -> list[PositionProbes]:
    """Every probe cell with each further position that its task names and its prompt has.

    Models with an intervention and draws of random weights have none.
    """
    models = [name for name in grid.base_models() if grid.config.models[name].draw_of is None]
    return [
        PositionProbes(*cell, position)
        for cell in grid.probe_cells()
        if cell.model in models
        for position in positions_of(grid, cell.task, cell.prompt)
    ]


def states_at(grid: Grid) -> list[PositionStates]:
    """The states that these probes read and no main file holds, each once."""
    cells = [
        PositionStates(cell.model, grid.config.tasks[cell.task].stimuli, cell.prompt, cell.position)
        for cell in probes_at(grid)
    ]
    return [cell for cell in dict.fromkeys(cells) if not kept_in_main(grid, cell)]


def kept_in_main(grid: Grid, cell: PositionStates) -> bool:
    """Whether the main file of a cell holds this position."""
    return cell.position in grid.positions(cell.stimuli, cell.prompt)


def positions_of(grid: Grid, task: str, prompt: str) -> list[str]:
    """The further positions at which a task is probed with a prompt, in one order for all tasks."""
    entry = grid.config.tasks[task]
    others = sorted(position for position in entry.positions if position != grid.config.states.positions[0])
    return [position for position in others if has_position(grid, entry.stimuli, prompt, position)]


def has_position(grid: Grid, stimuli: str, prompt: str, position: str) -> bool:
    """Whether a prompt of a stimulus set has a position, as far as the config tells.

    A word may stand in what fills a placeholder: only the items tell. An object is one of the item's own picture.
    """
    wording = grid.prompt(stimuli, prompt)
    if is_about_image(position) and grid.is_text_only(stimuli, prompt):
        return False
    if position in OF_OBJECT:
        return wording.is_own and OF_OBJECT[position] in asked_for(grid, stimuli)
    if (placeholder := named_by(position)) is not None:
        return placeholder in placeholders(wording)
    if (word := word_of(position)) is not None:
        own = PLACEHOLDER.sub(" ", wording.text)
        return bool(placeholders(wording)) or re.search(rf"\b{re.escape(word)}\b", own, re.IGNORECASE) is not None
    return True


def asked_for(grid: Grid, stimuli: str) -> set[str]:
    """The placeholders of a stimulus set that name an object of the picture, whose boxes are annotated."""
    kind = KINDS[grid.config.stimuli[stimuli].kind]
    if not kind.has_objects or grid.pictures(stimuli) > 1:
        return set()
    return set(kind.allowed) & set(OF_OBJECT.values())


def planned_at(grid: Grid, cell: PositionStates) -> dict[str, Any]:
    """What decides the states of a cell at a further position; see :meth:`layerwise.planning.grid.Grid.planned`."""
    main = grid.planned(cell.model, cell.stimuli, cell.prompt)
    kept = {key: main[key] for key in ("model", "stimuli", "prompt", "prompt_entry", "dtype")}
    return kept | {"positions": [cell.position], "code": code_digest(CODE, *model_files(grid.config, cell.model))}


def check_task_positions(grid: Grid) -> None:
    """Refuse further positions that a task cannot have.

    Raises:
        InputError: naming the task and the position.
    """
    found = {(cell.task, cell.position) for cell in probes_at(grid)}
    for task in grid.asked_tasks():
        entry, where = grid.config.tasks[task], f"tasks.{task}.positions"
        if entry.positions and entry.is_number:
            raise InputError(f"{where}: numbers are read at the first of `states.positions` alone; leave it out")
        for position in entry.positions:
            if position == grid.config.states.positions[0]:
                raise InputError(
                    f"{where}: {position} is the first of `states.positions`, where every task is probed anyway; leave "
                    "it out"
                )
            if (task, position) not in found:
                raise InputError(f"{where}: {_why_not(grid, entry.stimuli, position)}")
    for cell in probes_at(grid):
        adapter = grid.config.models[cell.model].adapter
        if not is_measured(adapter):
            raise InputError(
                f"tasks.{cell.task}.positions: the adapter {adapter} of models.{cell.model} runs its authors' code, "
                f"and reads no states at {cell.position}; leave the task out of the model's `tasks`, or leave "
                "the position out"
            )


def _why_not(grid: Grid, stimuli: str, position: str) -> str:
    prompts = ", ".join(grid.prompts(stimuli))
    if position in OF_OBJECT and OF_OBJECT[position] not in asked_for(grid, stimuli):
        return (
            f"{position} is about the object that items name as {{{OF_OBJECT[position]}}}, and the items of "
            f"stimuli.{stimuli} name none that is annotated in their picture; leave it out"
        )
    what = f"the placeholder {{{named_by(position)}}}" if named_by(position) else f"the position {position}"
    if is_about_image(position):
        what += ", as none shows the items' own picture"
    return f"no prompt of stimuli.{stimuli} ({prompts}) that a model is asked has {what}; leave {position} out"
