"""The single head whose blocking lowers the logit difference most, by type of question and flow.

Columns:

- ``model``: name of the model
- ``questions``: name of the set of questions
- ``type``: of question; if there are several, also ``all types`` together
- ``flow``: which attention is blocked, as in image->question
- ``layer``: the block of the strongest head, from 1
- ``head``: the head, from 1, counted as those that ask
- ``n_layers``: blocks of the model
- ``n_heads``: heads of all blocks, among which it was picked
- ``change``: mean change of the logit difference with this head blocked
- ``low``: lower end of its 95 % interval over images, which allows for picking the head; NaN where none can be trusted
- ``high``: upper end
- ``n``: questions
- ``n_images``: images
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison
from layerwise.compare.flow_strongest_heads import COMPARISON as OF_PROBABILITY

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    from layerwise.compare.statistics.flow_heads import head_logit_changes, strongest_heads
    from layerwise.compare.statistics.flow_means import LOGIT_CHANGE
    from layerwise.flow.results import read_flow_description

    heads = head_logit_changes(given.path("heads"))
    if heads.empty:
        return pd.DataFrame(columns=COMPARISON.columns)
    description = read_flow_description(given.path("description"))
    return strongest_heads(heads, description, options["resamples"], options["seed"], LOGIT_CHANGE)


COMPARISON = Comparison(
    reads=("heads", "description"),
    options=("resamples", "seed"),
    columns=OF_PROBABILITY.columns,
    compute=compute,
    per_flow=True,
    only_with="head differences",
)
