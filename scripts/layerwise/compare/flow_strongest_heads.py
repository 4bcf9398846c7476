"""The single head whose blocking lowers the answer's probability most, by type of question and flow.

Columns:

- ``model``: name of the model
- ``questions``: name of the set of questions
- ``type``: of question; if there are several, also ``all types`` together
- ``flow``: which attention is blocked, as in image->question
- ``layer``: the block of the strongest head, from 1
- ``head``: the head, from 1, counted as those that ask
- ``n_layers``: blocks of the model
- ``n_heads``: heads of all blocks, among which it was picked
- ``change``: mean change of the answer's probability with this head blocked, in percent
- ``low``: lower end of its 95 % interval over images, which allows for picking the head; NaN where none can be trusted
- ``high``: upper end
- ``n``: questions
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
    import pandas as pd

    from layerwise.compare.statistics.flow_heads import strongest_heads
    from layerwise.flow.head_results import read_heads
    from layerwise.flow.results import read_flow_description

    heads, description = read_heads(given.path("heads")), read_flow_description(given.path("description"))
    if heads.empty:
        return pd.DataFrame(columns=COMPARISON.columns)
    return strongest_heads(heads, description, options["resamples"], options["seed"])


COMPARISON = Comparison(
    reads=("heads", "description"),
    options=("resamples", "seed"),
    columns=(
        "model",
        "questions",
        "type",
        "flow",
        "layer",
        "head",
        "n_layers",
        "n_heads",
        "change",
        "low",
        "high",
        "n",
        "n_images",
    ),
    compute=compute,
    per_flow=True,
    only_with="heads",
)
