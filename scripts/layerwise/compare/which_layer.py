"""Which layer knows it: from which layer on a model is above chance, above its untrained twin and above the text alone.

A row per trained model, task and prompt. Layers are 0 for the embedding output, then the blocks. All tests of a row are
one-sided, at the level of 5 %, and corrected over all layers and all that they are compared with.

Columns:

- ``model``: name of a model without intervention that is nobody's untrained twin
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``image``: which image the prompt shows: shown, none, blank, shuffled, random-order, or chosen (by `images`)
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``n_layers``: blocks of the model
- ``n``: test items
- ``n_groups``: groups of test items
- ``chance``: test score of the majority baseline
- ``twins``: names of the model's untrained twins, separated by spaces, several if there are several draws; else empty
- ``text_only``: name of the prompt with the same words and no image; empty without
- ``missing``: what the row has no tests for, and why, separated by "; ": "no twin", "twin not asked" (this task in this
  prompt), "no text-only prompt", "too few images"
- ``first_above_chance``: the first layer above the majority baseline: an unbroken run of such layers leads from it to
  the best layer (or, if that is not above, to the highest that is); empty where there is none, or no test
- ``above_chance``: all layers above it, separated by spaces
- ``first_above_twin``: the same for the same layer of the untrained twin, of several draws their mean
- ``above_twin``: all layers above it
- ``first_above_text``: the same for the same layer of the model that reads the words alone
- ``above_text``: all layers above it
- ``first_above_all``: the same for layers that are above all of those that the row has
- ``above_all``: all such layers
- ``first``: test score of the first layer above all; NaN without; with first_low and first_high
- ``first_low``: lower end of its 95 % interval
- ``first_high``: upper end
- ``best_layer``: the layer with the highest validation score, see :mod:`layerwise.compare.best_layers` for this and:
- ``best``: its test score, with best_low and best_high
- ``best_low``: lower end of its 95 % interval
- ``best_high``: upper end
- ``not_worse``: layers that are not worse than the best at 5 %
- ``top_layer``: the topmost block
- ``top``: its test score, with top_low and top_high
- ``top_low``: lower end of its 95 % interval
- ``top_high``: upper end
- ``difference``: best - top, with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_holm``: p-value of the difference, corrected over all rows of that table
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``twin_highest``: the highest test score of the twin in any layer, of several draws that of their mean; NaN without
- ``text_highest``: the highest test score of the text-only prompt in any layer; NaN without
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
    from layerwise.compare.statistics.firsts import first_layers

    scores, models = as_they_are(given.scores, given.models)
    found = first_layers(
        scores,
        given.comparison("best-layers"),
        given.tasks,
        models,
        given.prompts,
        options.get("twins", {}),
        given.path("predictions"),
        options["permutations"],
        options["seed"],
    )
    if found.empty:
        return pd.DataFrame(columns=COMPARISON.columns)
    return found.astype({column: "Int64" for column in found if column.startswith("first_above_")})


COMPARISON = Comparison(
    reads=("scores", "best-layers", "predictions", "tasks", "models", "prompts"),
    options=("permutations", "seed", "twins"),
    columns=(
        "model",
        "task",
        "prompt",
        "image",
        "metric",
        "label",
        "n_layers",
        "n",
        "n_groups",
        "chance",
        "twins",
        "text_only",
        "missing",
        "first_above_chance",
        "above_chance",
        "first_above_twin",
        "above_twin",
        "first_above_text",
        "above_text",
        "first_above_all",
        "above_all",
        "first",
        "first_low",
        "first_high",
        "best_layer",
        "best",
        "best_low",
        "best_high",
        "not_worse",
        "top_layer",
        "top",
        "top_low",
        "top_high",
        "difference",
        "difference_low",
        "difference_high",
        "p_holm",
        "p_holm_is_bound",
        "twin_highest",
        "text_highest",
    ),
    compute=compute,
)
