"""How well the output head, read at image tokens, finds the objects that it names: by layer, beside two controls.

The means are over pairs of a picture and the word for an object in it; :mod:`layerwise.lens.scores` says what each pair
scores. Pairs share pictures, and they share words, so intervals resample both (:mod:`layerwise.probes.bootstrap`): they
hold for other pictures and for the words of other objects. An untrained head maps each word to a direction of its own,
which may well point at objects of its kind by chance; with few words that is what the intervals are for.

One layer of each model is singled out: the one that is furthest above both controls in half of the pictures, drawn by
seed. What it reaches is taken from the other half.

Columns:

- ``model``: name of a model without intervention
- ``stimuli``: name of the stimulus set whose pictures are read
- ``measure``: pointing (whether the highest patch touches a box) or roc_auc (patches that touch a box against others)
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``layer_name``: in words
- ``n_layers``: blocks of the model
- ``value``: mean score; with low and high
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``shuffled``: the same maps, against the boxes of such objects in other pictures
- ``other_object``: the same words in pictures without their objects, against the boxes of other objects
- ``difference``: value - shuffled, over the pairs that have both; with difference_low and difference_high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``above_objects``: value - other_object; with above_objects_low and above_objects_high
- ``above_objects_low``: lower end of its 95 % interval
- ``above_objects_high``: upper end
- ``is_best``: whether it is the layer that is singled out
- ``held_out``: of that layer, difference or above_objects in the other half of the pictures, whichever interval begins
  lower: both controls must be exceeded; else NaN
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
    from layerwise.lens.scores import read_scores

    scores = read_scores(given.paths("lens-scores"))
    table = by_layer(scores, list(given.models), options["resamples"], options["seed"])
    return table.reindex(columns=list(COMPARISON.columns))


COMPARISON = Comparison(
    reads=("lens-scores", "models"),
    options=("resamples", "seed"),
    columns=(
        *("model", "stimuli", "measure", "layer", "layer_name", "n_layers", "value", "low", "high"),
        *("shuffled", "other_object", "difference", "difference_low", "difference_high"),
        *("above_objects", "above_objects_low", "above_objects_high"),
        *("is_best", "held_out", "held_out_low", "held_out_high", "n", "n_images", "n_words"),
    ),
    compute=compute,
)
