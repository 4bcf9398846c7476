"""Where the queries of attention probes look, against the boxes of their objects: by layer, beside two controls.

The queries are scored as the patch lens is, on pictures of the test part (:mod:`layerwise.lens.scores`), and so are the
means, intervals and controls those of :mod:`layerwise.compare.patch_lens`. Columns are the same, with the task in the
place of the stimulus set:

- ``model``: name of a model without intervention
- ``task``: name of the task whose labels have the queries
- ``measure``: pointing (whether the token that is looked at most touches a box) or roc_auc (tokens that touch a box
  against others)
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``layer_name``: in words
- ``n_layers``: blocks of the model
- ``value``: mean score; with low and high
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``shuffled``: the same looks, against the boxes of such objects in other pictures
- ``other_object``: the same queries in pictures without their objects, against the boxes of other objects
- ``difference``: value - shuffled, over the pairs that have both; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``above_objects``: value - other_object; with above_objects_low and above_objects_high
- ``above_objects_low``: lower end of its 95 % interval
- ``above_objects_high``: upper end
- ``is_best``: whether it is the layer that is furthest above both controls in half of the pictures
- ``held_out``: of that layer, difference or above_objects in the other half of the pictures, whichever interval begins
  lower; else NaN
- ``held_out_low``: lower end of its 95 % interval
- ``held_out_high``: upper end
- ``n``: pairs of a picture and a word
- ``n_images``: pictures
- ``n_words``: words
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.patch_lens import by_layer
    from layerwise.compare.statistics.pooled import read_places, read_pooled

    cells = read_pooled(given.path("pooled-scores"))[["model", "task"]].drop_duplicates()
    # The patch lens has a row per stimulus set, this one per task.
    looks = read_places(given.path("pooled-place-scores"), cells).rename(columns={"task": "stimuli"})
    table = by_layer(looks, list(given.models), options["resamples"], options["seed"])
    return table.rename(columns={"stimuli": "task"}).reindex(columns=list(COMPARISON.columns))


COMPARISON = Comparison(
    reads=("pooled-scores", "pooled-place-scores", "models"),
    options=("resamples", "seed"),
    columns=(
        *("model", "task", "measure", "layer", "layer_name", "n_layers", "value", "low", "high"),
        *("shuffled", "other_object", "difference", "difference_low", "difference_high"),
        *("above_objects", "above_objects_low", "above_objects_high"),
        *("is_best", "held_out", "held_out_low", "held_out_high", "n", "n_images", "n_words"),
    ),
    compute=compute,
)
