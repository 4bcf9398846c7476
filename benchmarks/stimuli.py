"""A stimulus set without pictures, for benchmarks whose hidden states are drawn."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.stimuli.items import items_digest


def write_stimuli(folder: Path, item_ids: Sequence[str], texts: Sequence[str]) -> dict[str, Any]:
    """Write the files of a stimulus set; returns the entries of a cell whose prompt is the item's text."""
    items = pd.DataFrame({"item_id": item_ids, "image": "", "image_sha256": "", "text": texts, "category": None})
    digest = items_digest(items, [])
    folder.mkdir(parents=True, exist_ok=True)
    items.to_parquet(folder / "items.parquet")
    (folder / "stimuli.json").write_text(json.dumps({"digest": digest, "categories": []}))
    return {"stimuli_digest": digest, "prompt_entry": {"text": "{text}"}}
