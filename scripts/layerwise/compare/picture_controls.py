"""What each picture is worth: the same words with other pictures than an item's own, or none, by layer.

Of items with several pictures. Below the rows of a prompt that shows all of an item's own pictures in order stand those
of each prompt with the same words and other pictures. The probes are those of the scores: each prompt has probes of its
own, fitted to states of the same pictures that they are tested on.

Columns:

- ``model``: name of a model without intervention that is nobody's untrained twin
- ``task``: name of the task; tasks are in the order of the config
- ``prompt``: name of the prompt that shows all pictures in order
- ``control``: name of the prompt with other pictures; empty for the rows of ``prompt`` itself
- ``shown``: what that prompt shows, in words, such as "picture 2 left out"
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``n_layers``: blocks of the model
- ``is_best``: whether it is the layer with the highest validation score of its own prompt; the lowest of equals
- ``value``: test score
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``majority``: test score of the majority baseline
- ``difference``: of a control's best layer the score of the best layer of ``prompt`` less its own, on the same items;
  else NaN; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there is none, or too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all controls of the study by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
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
    from layerwise.compare.inputs import as_they_are
    from layerwise.compare.statistics.picture_controls import compare_controls

    scores, models = as_they_are(given.scores, given.models)
    twins = {twin for of_model in options.get("twins", {}).values() for twin in of_model}
    shown = [name for name in models if name not in twins]
    how = options["resamples"], options["permutations"], options["seed"]
    return compare_controls(scores, given.tasks, shown, given.prompts, given.path("predictions"), *how)


COMPARISON = Comparison(
    reads=("scores", "predictions", "tasks", "models", "prompts"),
    options=("resamples", "permutations", "seed", "twins"),
    columns=(
        "model",
        "task",
        "prompt",
        "control",
        "shown",
        "metric",
        "label",
        "layer",
        "n_layers",
        "is_best",
        "value",
        "low",
        "high",
        "majority",
        "difference",
        "difference_low",
        "difference_high",
        "p_value",
        "p_is_bound",
        "p_holm",
        "p_holm_is_bound",
        "n",
        "n_groups",
    ),
    compute=compute,
)
