"""Scores of the mean over the tokens of each picture, by layer, beside those of the position that probes read.

Columns:

- ``model``: name of the model
- ``task``: name of the task; tasks are in the order of the config
- ``prompt``: name of the prompt, which shows all pictures in order
- ``position``: image-1-mean for the first picture, image-2-mean for the second, and so on; and the first of
  `states.positions`, which all other scores are of
- ``metric``: the task's own
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``n_layers``: blocks of the model
- ``value``: test score
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``majority``: test score of the majority baseline
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.picture_positions import of_each_picture

    return of_each_picture(given.positions, given.scores, given.tasks, options["position"])


COMPARISON = Comparison(
    reads=("positions", "scores", "tasks"),
    options=("position",),
    columns=(
        "model",
        "task",
        "prompt",
        "position",
        "metric",
        "layer",
        "n_layers",
        "value",
        "low",
        "high",
        "majority",
    ),
    compute=compute,
)
