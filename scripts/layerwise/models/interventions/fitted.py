"""Fitted files, which some kinds of intervention need: what one was fitted from, and how a model gets its path."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.interventions.kind import FILE

# What a file's cell says besides its content: names, which may change.
NAMES = ("model", "stimuli", "prompt", "task")


def with_file(intervention: Mapping[str, Any], file: Path) -> dict[str, Any]:
    """An entry of ``models.*.intervention`` with the path of its fitted file."""
    ((kind, how),) = intervention.items()
    return {kind: {**how, FILE: str(file)}}


def digest_of(intervention: Mapping[str, Any], file: Path) -> str:
    """A SHA-256 over what a fitted file was fitted from, whatever it is called and wherever it lies.

    Args:
        intervention: the entry that needs it; see the config's schema.
        file: what was fitted.

    Raises:
        InputError: when the file is missing, damaged, or of another kind.
    """
    ((kind, _how),) = intervention.items()
    told = {"concept": _told_of_concept, "route": _told_of_route}[str(INTERVENTIONS[kind].fitted)](file)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _told_of_concept(file: Path) -> dict[str, Any]:
    """All but the controls, which change no state."""
    from layerwise.models.interventions.concept_file import ConceptFile

    concept = ConceptFile(file)
    cell = {**concept.cell, "states": _without_names(concept.cell.get("states", {}))}
    return {"blocks": concept.blocks, "position": concept.position, "classes": concept.classes} | _without_names(cell)


def _told_of_route(file: Path) -> dict[str, Any]:
    from layerwise.models.interventions.route_file import read_about

    about = read_about(file)
    return {key: about[key] for key in ("kind", "shape", "cell")}


def _without_names(cell: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in cell.items() if key not in NAMES}
