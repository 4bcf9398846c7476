"""How complex a probe must be to find what a layer knows: scores of all kinds of probes, and bits per label.

Columns:

- ``model``: name of the model
- ``task``: name of the task; tasks are in the order of the config
- ``prompt``: name of the prompt
- ``kind``: of probe: logistic, or one that ``probes.kinds`` names
- ``metric``: the task's own
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm; -1 for a probe
  that reads all layers
- ``n_layers``: blocks of the model
- ``is_best``: whether it is the layer that this kind reads best on validation, of 0 to n_layers; the lowest of equals
- ``is_top``: whether it is the topmost block
- ``validation``: validation score
- ``score``: test score
- ``score_low``: lower end of its 95 % interval
- ``score_high``: upper end
- ``selectivity``: score less that of random labels; NaN without controls
- ``selectivity_low``: lower end of its 95 % interval
- ``selectivity_high``: upper end
- ``bits``: description length, in bits per label (online code); NaN without
- ``bits_low``: lower end of its 95 % interval
- ``bits_high``: upper end
- ``uniform_bits``: of the code that needs no states
- ``chance``: test score of the majority baseline
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.kinds import compare_kinds

    return compare_kinds(given.scores, given.kinds, given.tasks)


COMPARISON = Comparison(
    reads=("scores", "kinds", "tasks"),
    columns=(
        "model",
        "task",
        "prompt",
        "kind",
        "metric",
        "layer",
        "n_layers",
        "is_best",
        "is_top",
        "validation",
        "score",
        "score_low",
        "score_high",
        "selectivity",
        "selectivity_low",
        "selectivity_high",
        "bits",
        "bits_low",
        "bits_high",
        "uniform_bits",
        "chance",
    ),
    compute=compute,
)
