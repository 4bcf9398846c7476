"""The part of a grid under ``lens``: whose output head is read at the image tokens of which pictures.

Methods of :class:`layerwise.planning.grid.Grid` offer these functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from layerwise.code_digest import code_digest
from layerwise.errors import InputError
from layerwise.models.families import is_measured
from layerwise.planning.recipes import adapter_file
from layerwise.stimuli.catalogue import KINDS

if TYPE_CHECKING:
    from layerwise.planning.grid import Grid


class LensCell(NamedTuple):
    """The patch lens of one model over the pictures of one stimulus set."""

    model: str
    stimuli: str


def lens_cells(grid: Grid) -> list[LensCell]:
    """Every model x stimuli whose image tokens are read."""
    asked = grid.config.lens
    if asked is None:
        return []
    return [LensCell(model, stimuli) for model in lens_models(grid) for stimuli in asked.stimuli]


def lens_models(grid: Grid) -> list[str]:
    """The models whose output head is read; of several draws of random weights the first."""
    asked = grid.config.lens
    if asked is None:
        return []
    return readable_models(grid) if asked.models is None else list(asked.models)


def readable_models(grid: Grid) -> list[str]:
    """The models without an intervention that see pictures and run on transformers; of several draws the first."""
    found: dict[str, str] = {}
    for name in grid.base_models():
        if grid.sees(name) and is_measured(grid.config.models[name].adapter):
            found.setdefault(grid.config.models[name].draw_of or name, name)
    return list(found.values())


def planned_lens(grid: Grid, cell: LensCell) -> dict[str, Any]:
    """What decides the maps of a cell, besides model and stimuli; see :meth:`Grid.planned`."""
    asked, entry = grid.config.lens, grid.config.stimuli[cell.stimuli]
    kind = KINDS[entry.kind]
    read = kind.reads(entry)
    for_testing = [part for part in ([] if read is None else read.parts) if kind.parts.get(part, part) == "test"]
    return cell._asdict() | {
        "pictures": None if asked is None else asked.pictures,
        "parts": for_testing,
        "seed": grid.config.seed,
        "code": code_digest("read_patches.py", adapter_file(grid.config, cell.model)),
    }


def check_lens(grid: Grid) -> None:
    """Refuse a section ``lens`` that cannot be run.

    Raises:
        InputError: naming the key, what does not fit, and what to change.
    """
    config, asked = grid.config, grid.config.lens
    if asked is None:
        return
    for name in asked.stimuli:
        if name not in config.stimuli:
            raise InputError(f"lens.stimuli: there is no {name!r}; stimuli has {', '.join(config.stimuli)}")
        entry = config.stimuli[name]
        if not KINDS[entry.kind].has_objects:
            others = ", ".join(kind for kind, known in KINDS.items() if known.has_objects)
            raise InputError(
                f"lens.stimuli: {name} is {entry.kind}, which has no annotated objects; name a set of {others}"
            )
        if grid.pictures(name) > 1:
            raise InputError(f"lens.stimuli: items of {name} show several pictures; name a set with one each")
    for name in asked.models or []:
        if name not in config.models:
            raise InputError(f"lens.models: there is no {name!r}; models has {', '.join(config.models)}")
        if config.models[name].intervention is not None:
            raise InputError(f"lens.models: {name} has an intervention; name models that run as they are")
        if not grid.sees(name):
            raise InputError(f"lens.models: {name} is a language model and sees no picture; leave it out")
        if not is_measured(grid.config.models[name].adapter):
            raise InputError(
                f"lens.models: {name} runs on its authors' code, which does not show its output head; leave it out"
            )
