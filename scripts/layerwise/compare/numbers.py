"""Tasks about numbers: the best layer of every cell, chosen on validation, against the topmost block, on test.

Scores are R²: 1 less the squared error over that of the mean of the test items.

Columns:

- ``model``: name of a model without intervention
- ``weights``: pretrained or random
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``n_layers``: blocks of the model
- ``best_layer``: the layer with the highest validation R², 0 to n_layers; the lowest of equals
- ``top_layer``: the topmost block
- ``best``: test R² of the best layer; with best_low and best_high
- ``best_low``: lower end of its 95 % interval
- ``best_high``: upper end
- ``top``: test R² of the topmost block; with top_low and top_high
- ``top_low``: lower end of its 95 % interval
- ``top_high``: upper end
- ``norm``: test R² of the final norm's output; NaN without; with norm_low and norm_high
- ``norm_low``: lower end of its 95 % interval
- ``norm_high``: upper end
- ``difference``: best - top; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``n``: test items
- ``n_groups``: groups of test items
- ``p_value``: of the difference, two-sided; NaN where the best layer is the topmost, or too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``not_worse``: layers that are not worse than the best at 5 %, separated by spaces; empty where no test is made
- ``selectivity``: of the best layer, above permuted numbers; NaN without controls
- ``selectivity_low``: lower end of its 95 % interval
- ``selectivity_high``: upper end
- ``error``: mean absolute error of the best layer on test; NaN for the mean over labels
- ``error_low``: lower end of its 95 % interval
- ``error_high``: upper end
- ``unit``: of the error; empty if none is known, and for the mean over labels
- ``training_mean``: test R² of always giving the mean of the training items
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
    from layerwise.compare.statistics.numbers import compare_number_layers

    scores, models = as_they_are(given.number_scores, given.models)
    how = options["resamples"], options["permutations"], options["seed"]
    return compare_number_layers(scores, given.number_tasks, models, given.path("estimates"), *how)


COMPARISON = Comparison(
    reads=("number-scores", "estimates", "number-tasks", "models"),
    options=("resamples", "permutations", "seed"),
    columns=(
        "model",
        "weights",
        "task",
        "prompt",
        "label",
        "n_layers",
        "best_layer",
        "top_layer",
        "best",
        "best_low",
        "best_high",
        "top",
        "top_low",
        "top_high",
        "norm",
        "norm_low",
        "norm_high",
        "difference",
        "difference_low",
        "difference_high",
        "n",
        "n_groups",
        "p_value",
        "p_is_bound",
        "p_holm",
        "p_holm_is_bound",
        "not_worse",
        "selectivity",
        "selectivity_low",
        "selectivity_high",
        "error",
        "error_low",
        "error_high",
        "unit",
        "training_mean",
    ),
    compute=compute,
)
