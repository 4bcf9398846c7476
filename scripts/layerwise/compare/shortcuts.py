"""The best layer of every cell against shortcuts: simple features of text and picture, on the same test items.

A row per cell whose prompt shows a picture and a text. The shortcuts are those of :mod:`layerwise.probes.shortcuts`,
and ``text``: the same model's prompt without the picture, in the layer that is best on validation (of several such
prompts the best on validation). The one that the best layer is compared with is the best on validation, too; of equals
the first in the order below.

Columns:

- ``model``: name of a model without intervention
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``n_layers``: blocks of the model
- ``best_layer``: the layer with the highest validation score
- ``best``: test score of that layer; with best_low and best_high
- ``best_low``: lower end of its 95 % interval
- ``best_high``: upper end
- ``words``: test score of the words of the text; with words_low and words_high
- ``words_low``: lower end of its 95 % interval
- ``words_high``: upper end
- ``picture``: the same of the picture as the decoder gets it; NaN where the decoder has no tokens of the image
- ``picture_low``: lower end of its 95 % interval
- ``picture_high``: upper end
- ``sum``: the same of words + picture, side by side
- ``sum_low``: lower end of its 95 % interval
- ``sum_high``: upper end
- ``product``: the same of words x picture, their products
- ``product_low``: lower end of its 95 % interval
- ``product_high``: upper end
- ``text``: the same of the text alone; NaN where the model was asked no such prompt
- ``text_low``: lower end of its 95 % interval
- ``text_high``: upper end
- ``text_prompt``: name of that prompt; else empty
- ``text_layer``: its layer; else -1
- ``shortcut``: the best shortcut: words, picture, sum, product or text
- ``shortcut_value``: its test score
- ``difference``: best - shortcut_value; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there are too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``chance``: test score of the majority baseline
- ``n``: test items
- ``n_groups``: groups of test items
- ``n_texts``: distinct texts among them, where texts count as units of the intervals; else 0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.shortcuts import compare_with_shortcuts, read_shortcuts

    return compare_with_shortcuts(
        given.comparison("best-layers"),
        given.scores,
        read_shortcuts(given.path("shortcut-scores")),
        given.tasks,
        options["shortcuts"],
        given.path("predictions"),
        *(options["resamples"], options["permutations"], options["seed"]),
    )


COMPARISON = Comparison(
    reads=("best-layers", "scores", "shortcut-scores", "predictions", "shortcut-predictions", "tasks"),
    options=("resamples", "permutations", "seed", "shortcuts"),
    columns=(
        *("model", "task", "prompt", "metric", "label", "n_layers"),
        *("best_layer", "best", "best_low", "best_high"),
        *("words", "words_low", "words_high", "picture", "picture_low", "picture_high"),
        *("sum", "sum_low", "sum_high", "product", "product_low", "product_high"),
        *("text", "text_low", "text_high", "text_prompt", "text_layer"),
        *("shortcut", "shortcut_value", "difference", "difference_low", "difference_high"),
        *("p_value", "p_is_bound", "p_holm", "p_holm_is_bound", "chance", "n", "n_groups", "n_texts"),
    ),
    compute=compute,
)
