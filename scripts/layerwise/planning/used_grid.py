"""The part of a grid under ``used``: the cells in which a concept is erased and steered, and those it is fitted in.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions, once for each grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from layerwise.code_digest import code_digest
from layerwise.config.used import Used
from layerwise.planning.recipes import adapter_file
from layerwise.stimuli.catalogue import KINDS
from layerwise.stimuli.kind import PLACEHOLDER, placeholders
from layerwise.stimuli.relations import RELATIONS

if TYPE_CHECKING:
    from layerwise.config.prompts import Prompt
    from layerwise.config.tasks import Task
    from layerwise.planning.grid import Grid, ProbeCell

# Adapters whose models are run by default. The others of the main environment are run where a study names their models.
BY_DEFAULT = ("generic", "text")
# Where concepts are read and changed.
POSITION = "last"


def used_cells(grid: Grid) -> list[ProbeCell]:
    """Every model x task x prompt in which the task's classes are erased and steered; see :class:`Used`."""
    asked = grid.config.used
    if asked is None:
        return []
    models = used_models(grid)
    return [
        cell
        for cell in grid.probe_cells()
        if cell.model in models
        and cell.task in asked.tasks
        and (asked.prompts is None or cell.prompt in asked.prompts)
        and asks_for(grid, cell.task, cell.prompt)
    ]


def used_models(grid: Grid) -> list[str]:
    """The models that ``used`` names, or else those that it runs by default."""
    asked = grid.config.used
    if asked is None:
        return []
    if asked.models is not None:
        return list(asked.models)
    return [name for name in grid.base_models() if grid.config.models[name].adapter in BY_DEFAULT]


def concept_cells(grid: Grid) -> list[ProbeCell]:
    """The cells that a concept is fitted in, in the order of the probe cells.

    They are the used cells, and those whose concept an intervention erases or steers along at the last token.
    """
    fitted = [on for model in grid.config.models if (on := grid.fitted_on(model)) is not None]
    needed = {*grid.used_cells(), *(on.cell for on in fitted if on.at == POSITION)}
    return [cell for cell in grid.probe_cells() if cell in needed]


def other_concepts(grid: Grid, cell: ProbeCell) -> dict[str, ProbeCell]:
    """The other concepts that are erased in a cell, by ``task/prompt``.

    They are those of every other used task in the same model, each as its first used prompt has it.
    """
    first: dict[str, ProbeCell] = {}
    for other in grid.used_cells():
        if other.model == cell.model and other.task != cell.task:
            first.setdefault(other.task, other)
    return {f"{other.task}/{other.prompt}": other for other in first.values()}


def planned_sweep(grid: Grid, cell: ProbeCell) -> dict[str, Any]:
    """What decides the sweep of a used cell, besides its model, stimuli, task, concepts and kept probes.

    See :meth:`layerwise.planning.grid.Grid.planned`.
    """
    assert grid.config.used is not None
    stimuli, asked = grid.config.tasks[cell.task].stimuli, grid.config.used
    return cell._asdict() | {
        "stimuli": stimuli,
        "prompt_entry": grid.answers_entry(stimuli, cell.prompt),
        **{key: asked.entry()[key] for key in ("items", "strengths", "along", "draws")},
        "seed": grid.config.seed,
        "code": code_digest("sweep_used.py", adapter_file(grid.config, cell.model)),
    }


def concept_draws(grid: Grid) -> int:
    """How many random controls a concept has; as many as by default where nothing is swept."""
    default: int = Used.model_fields["draws"].default
    return default if grid.config.used is None else grid.config.used.draws


def asks_for(grid: Grid, task: str, prompt: str) -> bool:
    """Whether a prompt asks for the class of a task, so that its words say it."""
    entry = grid.config.tasks[task]
    wording = grid.prompt(entry.stimuli, prompt)
    answers = plain_answers(wording)
    if not answers or not asks_one_thing(grid, entry, wording):
        return False
    classes, stimuli = _classes(grid, entry, task), grid.config.stimuli[entry.stimuli]
    if classes is None:
        # A table's classes are known only when it is read.
        return not KINDS[stimuli.kind].asks_of_others(stimuli, entry, answers)
    return len(classes) > 0 and set(classes) <= set(answers)


def plain_answers(wording: Prompt) -> Mapping[str, Sequence[str]]:
    """A prompt's answers that are the same words for all items; empty where any of them is not."""
    answers = wording.answers or {}
    plain = all(words and not any(map(PLACEHOLDER.search, words)) for words in answers.values())
    return answers if plain else {}


def has_several_labels(grid: Grid, task: str) -> bool:
    """Whether a task may have several labels for an item, as far as the config tells."""
    entry = grid.config.tasks[task]
    if entry.knowledge is not None:
        # Values of an attribute, and pairs of categories.
        return entry.knowledge.about == "attributes" or entry.knowledge.about in RELATIONS
    stimuli = grid.config.stimuli[entry.stimuli]
    return KINDS[stimuli.kind].labels(stimuli, entry) > 1


def _classes(grid: Grid, entry: Task, task: str) -> Sequence[str] | None:
    known = grid.classes_of(task)
    if known is not None:
        return known
    if entry.knowledge is not None:
        # Measured quantities are no words.
        return ()
    if grid.config.stimuli[entry.stimuli].kind == "coco-relations":
        return [name for label in entry.labels or () for name in RELATIONS[label][1]]
    return None


def asks_one_thing(grid: Grid, entry: Task, wording: Prompt) -> bool:
    """Whether items of one picture that ask for different categories read differently."""
    kind = KINDS[grid.config.stimuli[entry.stimuli].kind]
    return not kind.asks_category or "category" in placeholders(wording)
