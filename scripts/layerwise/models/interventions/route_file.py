"""What the file of a trained route says of it. Imports no torch.

:mod:`layerwise.models.interventions.route_paths` reads the route itself.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from layerwise.errors import InputError

# The metadata of a route's file.
KEY = "route"


def read_about(path: str | Path) -> dict[str, Any]:
    """What the file of a route says of it.

    Returns:
        ``kind``, ``shape``, ``parameters`` (how many are trained), ``cell`` (what it was trained on), and what training
        found.

    Raises:
        InputError: when the file is missing, damaged, or holds no route.
    """
    try:
        with safe_open(path, framework="np") as file:
            return json.loads(file.metadata()[KEY])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged, or no trained route ({error}); delete it and run again") from error


def weights_digest(path: str | Path) -> str:
    """A SHA-256 over a route's numbers, of a file that :func:`read_about` reads."""
    digest = hashlib.sha256()
    with safe_open(path, framework="np") as file:
        for name in sorted(file.keys()):
            digest.update(name.encode() + file.get_tensor(name).tobytes())
    return digest.hexdigest()
