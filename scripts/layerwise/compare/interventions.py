"""The topmost block of every model with an intervention against the same model without it, on the same test items.

Columns:

- ``model``: name of the model with the intervention
- ``base``: name of the same model without it
- ``intervention``: in words
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``metric``: the task's own
- ``changed``: test score of the topmost block with the intervention; with changed_low and changed_high
- ``changed_low``: lower end of its 95 % interval
- ``changed_high``: upper end
- ``as_it_is``: the same without the intervention; with as_it_is_low and as_it_is_high
- ``as_it_is_low``: lower end of its 95 % interval
- ``as_it_is_high``: upper end
- ``difference``: changed - as_it_is; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there are too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
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
    from layerwise.compare.statistics.effects import compare_interventions

    how = options["resamples"], options["permutations"], options["seed"]
    return compare_interventions(given.scores, given.tasks, given.models, given.path("predictions"), *how)


COMPARISON = Comparison(
    reads=("scores", "predictions", "tasks", "models"),
    options=("resamples", "permutations", "seed"),
    columns=(
        "model",
        "base",
        "intervention",
        "task",
        "prompt",
        "metric",
        "changed",
        "changed_low",
        "changed_high",
        "as_it_is",
        "as_it_is_low",
        "as_it_is_high",
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
        "p_is_bound",
        "p_holm",
        "p_holm_is_bound",
        "n_groups",
    ),
    compute=compute,
)
