"""Test items that a layer's probe knows and the model says, those that it knows and does not say, and the rest.

An item is known in a layer if the layer's probe is right, and said if the model's own answer is, at the top.

Columns:

- ``model``: name of the model
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``layer``: of the probe: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``n_layers``: blocks of the model
- ``label``: of the task, or "macro" for the mean over its labels
- ``answer``: how the model's answer is read: "as said" or "threshold", see :mod:`layerwise.compare.said`
- ``share``: "known and said", "known, not said", "said, not known" or "neither"
- ``value``: share of the test items
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``independent``: the share if being known told nothing of being said: the product of both shares
- ``phi``: correlation of being known and being said, the same for all four shares; NaN if either is constant
- ``n``: items
- ``n_groups``: groups of items that a split keeps together
- ``n_texts``: texts that the interval is over, too; 0 for none
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.answered import given_cells
    from layerwise.compare.statistics.known_said import known_and_said

    return known_and_said(given_cells(given, options), given.models, options["resamples"], options["seed"])


COMPARISON = Comparison(
    reads=("predictions", "answers", "tasks", "models"),
    options=("resamples", "seed", "said"),
    columns=(
        "model",
        "task",
        "prompt",
        "layer",
        "n_layers",
        "label",
        "answer",
        "share",
        "value",
        "low",
        "high",
        "independent",
        "phi",
        "n",
        "n_groups",
        "n_texts",
    ),
    compute=compute,
)
