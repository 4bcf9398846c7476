"""The best layer of every cell, chosen on validation, against the topmost block and all others, on the test split.

Columns:

- ``model``: name of a model without intervention
- ``weights``: pretrained or random
- ``draw_of``: of a draw of several with random weights the name of their entry; else empty
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``n_layers``: blocks of the model
- ``best_layer``: the layer with the highest validation score, 0 to n_layers; the lowest of equals
- ``top_layer``: the topmost block
- ``best``: test score of the best layer; with best_low and best_high
- ``best_low``: lower end of its 95 % interval
- ``best_high``: upper end
- ``best_redrawn_low``: lower end of the 95 % interval that includes the choice of training images; NaN without draws
- ``best_redrawn_high``: upper end
- ``top``: test score of the topmost block; with top_low and top_high
- ``top_low``: lower end of its 95 % interval
- ``top_high``: upper end
- ``top_redrawn_low``: lower end of the 95 % interval that includes the choice of training images; NaN without draws
- ``top_redrawn_high``: upper end
- ``norm``: test score of the final norm's output; NaN without; with norm_low and norm_high
- ``norm_low``: lower end of its 95 % interval
- ``norm_high``: upper end
- ``difference``: best - top; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``difference_redrawn_low``: lower end of the 95 % interval that includes the choice of training images; NaN without
- ``difference_redrawn_high``: upper end
- ``n``: test items
- ``n_groups``: groups of test items
- ``p_value``: of the difference, two-sided; NaN where the best layer is the topmost, or too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``not_worse``: layers that are not worse than the best at 5 %, separated by spaces; empty where no test is made
- ``margin``: a difference that does not matter, in the metric's unit (``probes.margin``)
- ``difference_upper``: the difference is shown to be less than this: upper end of its 90 % interval, that is of the
  one-sided 95 % interval; NaN where the best layer is the topmost, or too few images for a test
- ``difference_lower``: and more than this
- ``equivalent``: whether both are within ± margin, so that the two layers are shown to be equally good up to it (two
  one-sided tests at 5 %: Schuirmann 1987, doi:10.1007/BF01068419); false where undecided or not tested
- ``within_margin``: layers that are shown to be less than the margin worse than the best, corrected over layers at 5 %,
  separated by spaces; empty where no test is made
- ``selectivity``: of the best layer; NaN without controls; with selectivity_low and selectivity_high
- ``selectivity_low``: lower end of its 95 % interval
- ``selectivity_high``: upper end
- ``n_splits``: splits of the task
- ``split_layers``: the best layer under each split, separated by spaces
- ``split_best``: mean over splits of the best layer's score
- ``split_best_sd``: its standard deviation; NaN for one split
- ``split_difference``: mean over splits of best - top
- ``split_difference_sd``: its standard deviation; NaN for one split
- ``chance``: test score of the majority baseline
- ``smallest``: the smallest true difference that the test would find in 80 % of such studies, from the standard error
  of this difference; NaN where the layers do not differ on any item, or the best layer is the topmost
- ``smallest_holm``: the same after Holm's correction, as if this p-value were the smallest of all rows
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
    from layerwise.compare.statistics.layers import compare_layers

    scores, models = as_they_are(given.scores, given.models)
    how = options["resamples"], options["permutations"], options["seed"]
    more = {name: options[name] for name in ("margin", "draws") if name in options}
    return compare_layers(scores, given.tasks, models, given.path("predictions"), *how, **more)


COMPARISON = Comparison(
    reads=("scores", "predictions", "tasks", "models"),
    options=("resamples", "permutations", "seed", "margin", "draws"),
    columns=(
        "model",
        "weights",
        "draw_of",
        "task",
        "prompt",
        "metric",
        "label",
        "n_layers",
        "best_layer",
        "top_layer",
        "best",
        "best_low",
        "best_high",
        "best_redrawn_low",
        "best_redrawn_high",
        "top",
        "top_low",
        "top_high",
        "top_redrawn_low",
        "top_redrawn_high",
        "norm",
        "norm_low",
        "norm_high",
        "difference",
        "difference_low",
        "difference_high",
        "difference_redrawn_low",
        "difference_redrawn_high",
        "n",
        "n_groups",
        "p_value",
        "p_is_bound",
        "p_holm",
        "p_holm_is_bound",
        "not_worse",
        "margin",
        "difference_upper",
        "difference_lower",
        "equivalent",
        "within_margin",
        "selectivity",
        "selectivity_low",
        "selectivity_high",
        "n_splits",
        "split_layers",
        "split_best",
        "split_best_sd",
        "split_difference",
        "split_difference_sd",
        "chance",
        "smallest",
        "smallest_holm",
    ),
    compute=compute,
)
