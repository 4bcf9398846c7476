"""Fitted files, which some kinds of intervention need: what one was fitted from, and how a model gets its path."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerwise.models.interventions.catalogue import INTERVENTIONS
from layerwise.models.interventions.kind import FILE, How

# What decides the states that a concept was fitted to. Their names, and what else was kept beside them, do not.
OF_STATES = ("model_digest", "stimuli_digest", "prompt_entry", "dtype", "code")


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
        InputError: when the file is missing, damaged, or lacks what the entry needs.
    """
    ((kind, how),) = intervention.items()
    told = {"concept": _told_of_concept, "route": _told_of_route}[str(INTERVENTIONS[kind].fitted)](how, file)
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _told_of_concept(how: How, file: Path) -> list[Any]:
    """Training states and labels; not the controls, which change no state of a model with this entry."""
    from layerwise.models.interventions.concept_file import ConceptFile

    concept = ConceptFile(file)
    states = concept.cell.get("states", {})
    told = [concept.position, concept.classes, concept.cell.get("labels_digest"), {k: states.get(k) for k in OF_STATES}]
    if how.get("along") == "probe" and (steering := concept.block(how["block"]).steer.get("probe")) is not None:
        # How a probe was fitted is told nowhere in full.
        told.append(hashlib.sha256(steering.direction.tobytes() + steering.deviation.tobytes()).hexdigest())
    return told


def _told_of_route(_how: How, file: Path) -> Any:
    """The route itself: trained on a GPU, the same items need not give the same one."""
    from layerwise.models.interventions.route_file import read_about, weights_digest

    about = read_about(file)
    return [about["kind"], about["shape"], weights_digest(file)]
