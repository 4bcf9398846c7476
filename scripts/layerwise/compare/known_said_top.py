"""What the best layer's probe knows, compared with what the model says, on the same test items.

Columns:

- ``model``: name of a model without intervention
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``answer``: how the model's answer is read: "as said" or "threshold", see :mod:`layerwise.compare.said`; a metric that
  ranks items has no threshold
- ``n_layers``: blocks of the model
- ``best_layer``: the layer whose probe has the highest validation score, 0 to n_layers; the lowest of equals
- ``known``: test score of this probe; with known_low and known_high
- ``known_low``: lower end of its 95 % interval
- ``known_high``: upper end
- ``said``: test score of the model's answer; with said_low and said_high
- ``said_low``: lower end of its 95 % interval
- ``said_high``: upper end
- ``difference``: known - said; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there are too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``chance``: test score of the majority baseline
- ``n``: test items
- ``n_groups``: groups of test items
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
    from layerwise.compare.statistics.answered import given_cells
    from layerwise.compare.statistics.known_said import compare_known_said

    scores, models = as_they_are(given.scores, given.models)
    how = options["resamples"], options["permutations"], options["seed"]
    return compare_known_said(given_cells(given, options), scores, given.tasks, models, *how)


COMPARISON = Comparison(
    reads=("scores", "predictions", "answers", "tasks", "models"),
    options=("resamples", "permutations", "seed", "said"),
    columns=(
        "model",
        "task",
        "prompt",
        "metric",
        "label",
        "answer",
        "n_layers",
        "best_layer",
        "known",
        "known_low",
        "known_high",
        "said",
        "said_low",
        "said_high",
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
        "p_is_bound",
        "p_holm",
        "p_holm_is_bound",
        "chance",
        "n",
        "n_groups",
    ),
    compute=compute,
)
