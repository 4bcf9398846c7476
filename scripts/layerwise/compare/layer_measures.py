"""What the layers of each model are like: norms, outlier dimensions and anisotropy.

Columns:

- ``stimuli``: name of the stimulus set; sets are in the order of the config
- ``prompt``: name of the prompt
- ``position``: token position; that which probes read comes first
- ``model``: name of a model without intervention
- ``draw_of``: of one of several draws of random weights the name of their entry; else empty
- ``weights``: pretrained or random
- ``measure``: norm, largest, outliers, variance-share, cosine or cosine-rest, see
  :mod:`layerwise.likeness.measures`
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``n_layers``: blocks of the model
- ``width``: number of hidden units
- ``value``: NaN where it is not defined: of fewer than 8 items, or of states that are all equal
- ``low``: lower end of its 95 % interval over images (jackknife); NaN for largest, which has none
- ``high``: upper end
- ``dimensions``: the dimensions that it is about, counted from 0, the largest first: that of the largest entry, those
  in which at least half of the items have outliers, those that vary most
- ``n``: number of items, no two of which share a picture
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.layers_are_like import all_measures

    return all_measures(given, options)


COMPARISON = Comparison(
    reads=("likeness", "models"),
    options=("likeness", "position", "draws"),
    columns=(
        "stimuli",
        "prompt",
        "position",
        "model",
        "draw_of",
        "weights",
        "measure",
        "layer",
        "n_layers",
        "width",
        "value",
        "low",
        "high",
        "dimensions",
        "n",
    ),
    compute=compute,
)
