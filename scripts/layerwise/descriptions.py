"""The JSON files in which one job tells the next what it made, such as ``model.json`` and ``stimuli.json``."""

import json
from pathlib import Path
from typing import Any

from layerwise.errors import InputError


def read_description(path: str | Path, *keys: str) -> dict[str, Any]:
    """Read a description that an earlier job wrote.

    Args:
        path: the JSON file.
        keys: keys that it must have.

    Raises:
        InputError: when it is no JSON object, or lacks a key.
        FileNotFoundError: when there is no such file.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        reason = next((f"it has no {key!r}" for key in keys if key not in found), None)
    except (ValueError, TypeError) as error:
        reason = str(error)
    if reason:
        raise InputError(f"{path}: damaged ({reason}); delete it and run the same command again")
    return found
