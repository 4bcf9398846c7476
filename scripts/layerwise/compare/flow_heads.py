"""Mean change of the answer's probability when attention is blocked in one head, or in a group of heads.

Columns:

- ``model``: name of the model
- ``questions``: name of the set of questions
- ``type``: of question; if there are several, also ``all types`` together
- ``flow``: which attention is blocked, as in image->question
- ``layer``: the block, from 1; 0 for a group
- ``head``: the head, from 1, counted as those that ask; 0 for a group
- ``group``: the group's name; empty for a single head
- ``mean``: change of the answer's probability in percent, over questions
- ``low``: lower end of its 95 % interval over images, for this head alone; NaN where none can be trusted
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
    from layerwise.compare.statistics.flow_heads import head_means
    from layerwise.flow.head_results import read_heads
    from layerwise.flow.results import read_flow_description

    heads, description = read_heads(given.path("heads")), read_flow_description(given.path("description"))
    return head_means(heads, description, options["resamples"], options["seed"])


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
        "group",
        "mean",
        "low",
        "high",
        "n",
        "n_images",
    ),
    compute=compute,
    per_flow=True,
    only_with="heads",
)
