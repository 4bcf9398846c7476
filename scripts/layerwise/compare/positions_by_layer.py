"""Scores at the further positions that tasks name, by layer, beside those of the position that all other scores are of.

Columns:

- ``model``: name of the model
- ``task``: name of the task; tasks are in the order of the config
- ``prompt``: name of the prompt
- ``position``: in the order of the text, images first; the first of `states.positions` among them
- ``metric``: the task's own
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``n_layers``: blocks of the model
- ``value``: test score
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``majority``: test score of the majority baseline on the same items
- ``n``: test items; fewer where items lack a word or an object
- ``lacking``: items of the task without this position, in all splits
- ``best``: whether validation prefers this position and layer to all others of the model, task and prompt, the final
  norm left out
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.positions_by_layer import at_each_position

    return at_each_position(given.task_positions, given.scores, given.tasks, options["position"])


COMPARISON = Comparison(
    reads=("task-positions", "scores", "tasks"),
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
        "n",
        "lacking",
        "best",
    ),
    compute=compute,
)
