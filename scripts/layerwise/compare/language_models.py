"""What multimodal training changed: models against the language model that they were made from, on the same test items.

Two rows per task and prompt that both were asked, which are prompts without an image. One compares their best layers,
each chosen on validation by itself; the other compares their topmost blocks.

Columns:

- ``model``: name of the multimodal model, without intervention
- ``base``: name of the language model that it was made from
- ``task``: name of the task
- ``prompt``: name of the prompt, which shows no image
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``n_layers``: blocks of either model
- ``at``: best layer, or topmost block
- ``layer``: that of the multimodal model
- ``base_layer``: that of the language model
- ``score``: test score of the multimodal model in its layer; with score_low and score_high
- ``score_low``: lower end of its 95 % interval
- ``score_high``: upper end
- ``base_score``: the same of the language model; with base_score_low and base_score_high
- ``base_score_low``: lower end of its 95 % interval
- ``base_score_high``: upper end
- ``difference``: score - base_score; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there are too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
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
    from layerwise.compare.statistics.language_models import compare_with_language_models

    return compare_with_language_models(
        given.comparison("best-layers"),
        given.tasks,
        given.models,
        options.get("made_from", {}),
        given.path("predictions"),
        *(options["resamples"], options["permutations"], options["seed"]),
    )


COMPARISON = Comparison(
    reads=("best-layers", "predictions", "tasks", "models"),
    options=("resamples", "permutations", "seed", "made_from"),
    columns=(
        "model",
        "base",
        "task",
        "prompt",
        "metric",
        "label",
        "n_layers",
        "at",
        "layer",
        "base_layer",
        "score",
        "score_low",
        "score_high",
        "base_score",
        "base_score_low",
        "base_score_high",
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
