"""Does erasing one task's concept change the answers to another? Every concept against every task, block by block.

Columns:

- ``model``: name of the model
- ``task``: name of the task that is answered
- ``prompt``: name of its prompt
- ``of``: the concept that is erased, as TASK/PROMPT
- ``own``: whether that is the cell's own concept
- ``block``: whose output is changed, from 1
- ``n_layers``: blocks of the model
- ``answers``: whether the model answers the task: its free gold margin is above 0, with its 95 % interval
- ``effect``: mean fall of the gold margin in log odds; means as in :mod:`layerwise.compare.used`
- ``effect_low``: lower end of its 95 % interval over images
- ``effect_high``: upper end
- ``flips``: share of items whose most probable answer changes
- ``completeness``: effect over the free gold margin, within 0 and 1; NaN where the model does not answer
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.sweeps import given_sweeps
    from layerwise.compare.statistics.used import compare_across

    return compare_across(given_sweeps(given, options), options["resamples"], options["seed"])


COMPARISON = Comparison(
    reads=("sweeps",),
    options=("resamples", "seed", "used"),
    columns=(
        "model",
        "task",
        "prompt",
        "of",
        "own",
        "block",
        "n_layers",
        "answers",
        "effect",
        "effect_low",
        "effect_high",
        "flips",
        "completeness",
    ),
    compute=compute,
)
