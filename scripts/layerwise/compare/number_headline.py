"""The scores that stand for a whole task about numbers: R² of one label, or the mean over labels.

Columns:

- ``model``: name of the model
- ``task``: name of the task; tasks are in the order of the config
- ``prompt``: name of the prompt
- ``probe``: ridge, mean (always the mean of the training items), control or selectivity
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``split``: val or test, and train for a task of one label
- ``metric``: r2
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm, -1 for mean
- ``n_layers``: blocks of the model
- ``value``: the score
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``n``: items
- ``n_groups``: groups of items that a split keeps together
- ``draws``: the draws of random weights that the row is the mean of, separated by spaces; empty for a model of its own
- ``made_from``: name of the language model of the study that the model was made from; else empty
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.rows import headline_table, with_made_from
    from layerwise.compare.statistics.draws import merge_draws

    merged = merge_draws(headline_table(given.number_scores, given.number_tasks), options.get("draws", {}))
    return with_made_from(merged, options.get("made_from", {}))


COMPARISON = Comparison(
    reads=("number-scores", "number-tasks"),
    options=("draws", "made_from"),
    columns=(
        "model",
        "task",
        "prompt",
        "probe",
        "label",
        "split",
        "metric",
        "layer",
        "n_layers",
        "value",
        "low",
        "high",
        "n",
        "n_groups",
        "draws",
        "made_from",
    ),
    compute=compute,
)
