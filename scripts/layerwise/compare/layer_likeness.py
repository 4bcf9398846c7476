"""How alike layers are, over the same items: debiased CKA within a model, with its untrained twins, and between models.

Columns:

- ``stimuli``: name of the stimulus set; sets are in the order of the config
- ``prompt``: name of the prompt
- ``position``: token position; that which probes read comes first
- ``scaling``: of the states: as they are, or standardised (each dimension divided by its standard deviation, as for
  probes)
- ``model``: name of a model without intervention
- ``other``: the same model; an untrained twin of it; or another model that is nobody's twin
- ``kind``: itself, twin or model
- ``draw``: whether one of the two is a draw of random weights beside the first
- ``layer``: of the model: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``other_layer``: of the other
- ``n_layers``: blocks of the model
- ``other_n_layers``: blocks of the other
- ``value``: debiased CKA, see :mod:`layerwise.likeness.cka`; NaN where it is not defined: of fewer than 8 items, or of
  a layer whose states are all equal, such as the embedding of one and the same last token
- ``low``: lower end of its 95 % interval over images (jackknife)
- ``high``: upper end
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
    from layerwise.compare.statistics.layers_are_like import all_likeness

    return all_likeness(given, options)


COMPARISON = Comparison(
    reads=("likeness",),
    options=("likeness", "position", "twins", "draws"),
    columns=(
        "stimuli",
        "prompt",
        "position",
        "scaling",
        "model",
        "other",
        "kind",
        "draw",
        "layer",
        "other_layer",
        "n_layers",
        "other_n_layers",
        "value",
        "low",
        "high",
        "n",
    ),
    compute=compute,
)
