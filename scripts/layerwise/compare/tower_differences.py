"""Is knowledge of the picture lost on the way: the best layers of vision tower, projector and decoder, in pairs.

Each layer is the best of its part on validation. A pair is compared on the same test items. Of one pooling are the mean
over a picture's patches in the tower, the projector's output and the decoder in the mean over the image's tokens; the
decoder's last token is another.

Columns:

- ``model``: name of a model without intervention
- ``task``: name of the task; tasks are in the order of the config
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``first``: the earlier part: tower or projector
- ``first_layer``: the name of its best layer
- ``first_value``: test score of that layer
- ``first_low``: lower end of its 95 % interval
- ``first_high``: upper end
- ``second``: the later part: projector or decoder
- ``second_layer``: the name of its best layer
- ``second_value``: test score of that layer
- ``second_low``: lower end of its 95 % interval
- ``second_high``: upper end
- ``pooling``: of the later part, see :mod:`layerwise.compare.tower`
- ``prompt``: of the last token; else empty
- ``same_pooling``: whether both are means over what stands for the picture
- ``difference``: second_value - first_value; below 0 where something is lost
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
- ``p_value``: of the difference, two-sided; NaN where there are too few images for a test
- ``p_is_bound``: whether p is that value or less
- ``p_holm``: p_value corrected over all rows by Holm's method
- ``p_holm_is_bound``: whether p_holm is that value or less
- ``chance``: test score of the majority baseline
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
    from layerwise.compare.statistics.tower import read_tower
    from layerwise.compare.statistics.tower_differences import compare_parts

    return compare_parts(
        read_tower(given.path("tower-scores")),
        given.scores,
        given.tasks,
        options["position"],
        options["tower"],
        given.path("predictions"),
        *(options["resamples"], options["permutations"], options["seed"]),
    )


COMPARISON = Comparison(
    reads=("tower-scores", "tower-predictions", "scores", "predictions", "tasks"),
    options=("resamples", "permutations", "seed", "position", "tower"),
    columns=(
        *("model", "task", "metric", "label"),
        *("first", "first_layer", "first_value", "first_low", "first_high"),
        *("second", "second_layer", "second_value", "second_low", "second_high"),
        *("pooling", "prompt", "same_pooling", "difference", "difference_low", "difference_high"),
        *("p_value", "p_is_bound", "p_holm", "p_holm_is_bound", "chance", "n", "n_groups"),
    ),
    compute=compute,
)
