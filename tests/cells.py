"""One cell of hidden states as files, and the command that runs it."""

import hashlib
import json
import os
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from layerwise.stimuli.items import items_digest
from tests.conftest import REPOSITORY


def write_items(folder: Path, shown: Sequence[tuple[str, Path, str]]) -> pd.DataFrame:
    """The stimuli's files from (item id, picture, text), in order of ids."""
    rows = [(item, str(path), hashlib.sha256(path.read_bytes()).hexdigest(), text) for item, path, text in shown]
    items = pd.DataFrame(sorted(rows), columns=["item_id", "image", "image_sha256", "text"]).assign(category=None)
    items.to_parquet(folder / "items.parquet")
    (folder / "stimuli.json").write_text(json.dumps({"digest": items_digest(items, []), "categories": []}))
    return items


def extraction(
    folder: Path,
    model: dict[str, Any],
    positions: Sequence[str],
    out: Path,
    prompt: dict[str, str] | None = None,
    **options: str,
) -> list[str]:
    """The command that runs a registered model over the items in ``folder``, with their texts as prompts.

    ``prompt`` adds to the prompt's entry.
    """
    (folder / "model.json").write_text(json.dumps(model))
    stimuli = json.loads((folder / "stimuli.json").read_text())
    cell = {"model_digest": model["digest"], "stimuli_digest": stimuli["digest"], "prompt": "text"}
    cell |= {"prompt_entry": {"text": "{text}"} | (prompt or {}), "positions": positions, "dtype": "float32"}
    command = [sys.executable, REPOSITORY / "scripts/extract_states.py", "--model", folder / "model.json"]
    command += ["--stimuli", folder, "--cell", json.dumps(cell), "--batch-size", "2", "--threads", "1"]
    command += ["--work", folder / "work", "--out", out]
    for name, value in options.items():
        command += [f"--{name.replace('_', '-')}", value]
    return list(map(str, command))


def run_here(command: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a program's ``main`` in this process, which has its libraries already; errors come out as they are raised."""
    _, script, *arguments = command
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    # What it sets for itself ends with the test.
    monkeypatch.setattr(os, "environ", os.environ.copy())
    runpy.run_path(script)["main"]()
