"""The specification curve: by how much a layer below the top beats the topmost block, under many choices.

Rows of a model and task are in the order of their effects. A test of the whole curve stands in each of its rows.

Columns:

- ``model``: name of a model without intervention
- ``task``: name of the task
- ``specification``: its choices, as its name
- ``metric``: choice of the metric
- ``C``: of the penalty: by validation, a fixed number, or none
- ``states``: standardised or raw
- ``split``: own, or the seed of another split
- ``prompt``: name of the prompt
- ``probe``: logistic or mean-difference
- ``train_share``: share of the training images
- ``own``: whether the study itself does so
- ``best_layer``: the layer below the top with the highest validation score, the lowest of equals
- ``top_layer``: the topmost block
- ``best``: test score of the best layer
- ``top``: test score of the topmost block
- ``effect``: best - top
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``p_value``: of the effect alone, two-sided, not corrected; NaN where there are too few images for a test
- ``significant``: 1 if the best layer is better at 5 %, -1 if the topmost block is, else 0
- ``n``: test items
- ``n_groups``: groups of test items
- ``rank``: place in the order of effects, from 1
- ``null_low``: lower end of the middle 95 % of effects of this rank in swapped curves; NaN without a test
- ``null_high``: upper end
- ``possible``: combinations of choices that there are
- ``tested``: specifications that the test of the curve has
- ``median``: of the effects
- ``p_median``: of the median over tested specifications, two-sided; NaN if none can be tested
- ``share_above``: share of effects above 0
- ``share_better``: share of tested specifications in which the best layer is significantly better
- ``share_worse``: share in which the topmost block is
- ``p_share``: of share_better, one-sided
- ``moved_by_metric``: share of the effects' variance that this choice alone explains; NaN if effects do not differ
- ``moved_by_C``: the same of the penalty
- ``moved_by_states``: of the scale of the states
- ``moved_by_split``: of the split
- ``moved_by_prompt``: of the prompt
- ``moved_by_probe``: of the kind of probe; 0 where a penalty stands for each kind
- ``moved_by_train_share``: of the share of the training images
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

    from layerwise.compare.inputs import read_specification_effects, read_specification_units
    from layerwise.compare.statistics.specification_curve import curve_table

    pairs = zip(given.paths("specification-effects"), given.paths("specification-units"), strict=True)
    tables = [
        curve_table(
            read_specification_effects(effects),
            read_specification_units(units),
            options["permutations"],
            options["seed"],
        )
        for effects, units in pairs
    ]
    return pd.concat(tables, ignore_index=True)


COMPARISON = Comparison(
    reads=("specification-effects", "specification-units"),
    options=("permutations", "seed"),
    columns=(
        "model",
        "task",
        "specification",
        "metric",
        "C",
        "states",
        "split",
        "prompt",
        "probe",
        "train_share",
        "own",
        "best_layer",
        "top_layer",
        "best",
        "top",
        "effect",
        "low",
        "high",
        "p_value",
        "significant",
        "n",
        "n_groups",
        "rank",
        "null_low",
        "null_high",
        "possible",
        "tested",
        "median",
        "p_median",
        "share_above",
        "share_better",
        "share_worse",
        "p_share",
        "moved_by_metric",
        "moved_by_C",
        "moved_by_states",
        "moved_by_split",
        "moved_by_prompt",
        "moved_by_probe",
        "moved_by_train_share",
    ),
    compute=compute,
)
