"""Each layer's test score less that of the same layer of the untrained twin, on the same items.

Columns:

- ``model``: name of a trained model that has a twin, without intervention
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``twins``: names of its untrained twins, separated by spaces: several if there are several draws
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``n_layers``: blocks of either model
- ``difference``: of several draws the mean; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval, which allows for the spread of several draws
- ``difference_high``: upper end
- ``n``: test items
- ``n_groups``: groups of items that a split keeps together
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    from layerwise.compare.inputs import as_they_are
    from layerwise.compare.statistics.twins import differences_to_twins

    scores, _ = as_they_are(given.scores, given.models)
    how = given.path("predictions"), options["resamples"], options["seed"]
    rows = differences_to_twins(scores, given.tasks, options.get("twins", {}), *how)
    return pd.DataFrame(rows, columns=list(COMPARISON.columns))


COMPARISON = Comparison(
    reads=("scores", "predictions", "tasks", "models"),
    options=("resamples", "seed", "twins"),
    columns=(
        "model",
        "task",
        "prompt",
        "twins",
        "metric",
        "label",
        "layer",
        "n_layers",
        "difference",
        "difference_low",
        "difference_high",
        "n",
        "n_groups",
    ),
    compute=compute,
)
