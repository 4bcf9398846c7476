"""Scores of attention, MLP and single heads: which head of a block is best, and which heads are above chance.

Columns:

- ``model``: name of the model
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``site``: attention, mlp or heads
- ``layer``: the block, from 1
- ``n_layers``: blocks of the model
- ``head``: the head, from 1; 0 for attention and mlp
- ``value``: test score
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``chance``: test score of the majority baseline
- ``best``: of a head: whether it is the best of its block on validation
- ``above_chance``: of a head: whether its score is above chance at 5 %, corrected over the heads of the cell
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.heads import compare_sites

    return compare_sites(given.sites, given.tasks)


COMPARISON = Comparison(
    reads=("sites", "tasks"),
    columns=(
        "model",
        "task",
        "prompt",
        "site",
        "layer",
        "n_layers",
        "head",
        "value",
        "low",
        "high",
        "chance",
        "best",
        "above_chance",
    ),
    compute=compute,
)
