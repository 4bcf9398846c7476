"""Learning curves at the layer that is best on validation with all training images.

Columns:

- ``model``: name of a model without intervention
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``layer``: the best layer of the cell
- ``train_groups``: training images (groups that a split keeps together)
- ``value``: test score
- ``low``: lower end of its 95 % interval
- ``high``: upper end; of several draws of random weights the mean and its interval, as in
  :mod:`layerwise.compare.headline`
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.inputs import as_they_are
    from layerwise.compare.statistics.curves import best_curves
    from layerwise.compare.statistics.draws import merge_draws

    draws = options.get("draws", {})
    scores, _ = as_they_are(given.scores, given.models)
    curves, _ = as_they_are(given.curves, given.models)
    return best_curves(merge_draws(curves, draws), merge_draws(scores, draws), given.tasks)


COMPARISON = Comparison(
    options=("draws",),
    reads=("curves", "scores", "tasks", "models"),
    columns=(
        "model",
        "task",
        "prompt",
        "layer",
        "train_groups",
        "value",
        "low",
        "high",
    ),
    compute=compute,
)
