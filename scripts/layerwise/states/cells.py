"""What a cell's states are made from, by content. The names in a study only say where the files lie."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py

from layerwise.descriptions import read_description

NAMES = ("model", "stimuli", "prompt")


def made_from(
    cell: Mapping[str, Any], model: Mapping[str, Any], stimuli: Mapping[str, Any], fitted: str | None = None
) -> dict[str, Any]:
    """A planned cell with the digests of its model and stimuli, and of what its intervention was fitted from.

    The digests are known only once both have been described. A plan that guessed them would be wrong exactly when they
    change.

    Args:
        cell: what the config and the code decide.
        model: ``model.json``.
        stimuli: ``stimuli.json``.
        fitted: see :func:`layerwise.models.interventions.fitted.digest_of`; None for models without a fitted file.
    """
    # Cells without a fitted file have no such key, so that states from before there were any stay valid.
    of_fitted = {} if fitted is None else {"fitted_digest": fitted}
    return dict(cell) | {"model_digest": model["digest"], "stimuli_digest": stimuli["digest"]} | of_fitted


def content_of(cell: Mapping[str, Any]) -> dict[str, Any]:
    """A cell without its names. Two cells with the same content hold the same states."""
    return {key: value for key, value in cell.items() if key not in NAMES}


def planned_content(cell: Mapping[str, Any], stimuli: Path, model: Path | None) -> dict[str, Any]:
    """The content that states must have to be probed.

    Args:
        cell: as it was planned.
        stimuli: folder of the stimulus set.
        model: ``model.json``; without it the model does not count.
    """
    described = {"stimuli_digest": stimuli / "stimuli.json"} | ({"model_digest": model} if model else {})
    return content_of(cell) | {key: read_description(file, "digest")["digest"] for key, file in described.items()}


def holds(path: str | Path, content: Mapping[str, Any]) -> bool:
    """Whether ``path`` is a finished states file of this content."""
    try:
        with h5py.File(path, "r") as file:
            written = json.loads(file.attrs["cell"])
    except (OSError, KeyError, ValueError):
        return False
    return all(written.get(key) == value for key, value in content.items())
