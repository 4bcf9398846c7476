"""How much each layer counts in the probes that read all layers at once.

Columns:

- ``model``: name of the model
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``kind``: of probe, such as mix
- ``layer``: 0 for the embedding output, n_layers for the topmost block
- ``n_layers``: blocks of the model
- ``weight``: of the layer's standardised states, the same for all labels of the task; a cell's weights sum to 1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    rows = given.kinds[given.kinds["metric"] == "layer_weight"]
    return rows.rename(columns={"value": "weight"})


COMPARISON = Comparison(
    reads=("kinds",),
    columns=("model", "task", "prompt", "kind", "layer", "n_layers", "weight"),
    compute=compute,
)
