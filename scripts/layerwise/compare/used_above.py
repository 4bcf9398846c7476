"""What kept probes still find at and above a block where the concept was erased: is it read again from other tokens?

Columns:

- ``model``: name of the model
- ``task``: name of the task whose classes are the concept
- ``prompt``: name of the prompt
- ``metric``: the task's own
- ``block``: where the concept is erased, from 1
- ``above``: the block that is read: the same one or a higher one
- ``n_layers``: blocks of the model
- ``free``: score of the kept probe of that block in the unchanged run
- ``free_low``: lower end of its 95 % interval over images
- ``free_high``: upper end
- ``erased``: the same after erasing
- ``erased_low``: lower end of its 95 % interval
- ``erased_high``: upper end
- ``control``: the same after the controls: mean over draws
- ``control_least``: of the least draw
- ``control_greatest``: of the greatest draw
- ``chance``: the majority baseline on these items
- ``n``: items
- ``n_images``: images
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.sweeps import given_above
    from layerwise.compare.statistics.used_above import compare_above

    return compare_above(given_above(given, options), options["resamples"], options["seed"])


COMPARISON = Comparison(
    reads=("sweeps", "tasks"),
    options=("resamples", "seed", "used"),
    columns=(
        "model",
        "task",
        "prompt",
        "metric",
        "block",
        "above",
        "n_layers",
        "free",
        "free_low",
        "free_high",
        "erased",
        "erased_low",
        "erased_high",
        "control",
        "control_least",
        "control_greatest",
        "chance",
        "n",
        "n_images",
    ),
    compute=compute,
)
