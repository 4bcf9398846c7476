"""Is what a label needs in some image tokens? A probe with a query that chooses among them, against one of their mean.

Both are fitted to the same pictures, and every layer's pair is compared on the same test items. The query's probe
starts from the mean's, so it can be worse only by fitting what holds in training alone.

Columns:

- ``model``: name of a model without intervention
- ``task``: name of the task; tasks are in the order of the config
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``layer_name``: in words
- ``n_layers``: blocks of the model
- ``mean``: test score of the probe of the mean
- ``mean_low``: lower end of its 95 % interval
- ``mean_high``: upper end
- ``attention``: test score of the probe with a query
- ``attention_low``: lower end of its 95 % interval
- ``attention_high``: upper end
- ``difference``: attention - mean
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there are too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``majority``: test score of the majority baseline
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
    from layerwise.compare.statistics.pooled import compare_poolings, read_pooled

    return compare_poolings(
        read_pooled(given.path("pooled-scores")),
        given.tasks,
        given.path("pooled-predictions"),
        *(options["resamples"], options["permutations"], options["seed"]),
    )


COMPARISON = Comparison(
    reads=("pooled-scores", "pooled-predictions", "tasks"),
    options=("resamples", "permutations", "seed"),
    columns=(
        *("model", "task", "metric", "label", "layer", "layer_name", "n_layers"),
        *("mean", "mean_low", "mean_high", "attention", "attention_low", "attention_high"),
        *("difference", "difference_low", "difference_high", "p_value", "p_is_bound", "p_holm", "p_holm_is_bound"),
        *("majority", "n", "n_groups"),
    ),
    compute=compute,
)
