"""Mean change of the logit difference when attention is blocked in one head, or in a group of heads.

The logit difference says how far the answer's logit is above that of a wrong answer, the question's distractor. It does
not saturate, as probabilities near 1 do, and what makes both answers more probable leaves it as it is.

Columns:

- ``model``: name of the model
- ``questions``: name of the set of questions
- ``type``: of question; if there are several, also ``all types`` together
- ``flow``: which attention is blocked, as in image->question
- ``layer``: the block, from 1; 0 for a group
- ``head``: the head, from 1, counted as those that ask; 0 for a group
- ``group``: the group's name; empty for a single head
- ``mean``: change of the logit difference, blocked minus free, over questions
- ``low``: lower end of its 95 % interval over images, for this head alone; NaN where none can be trusted
- ``high``: upper end
- ``free``: mean logit difference of the same questions with nothing blocked
- ``n``: questions whose distractor can be compared with the answer
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
    from layerwise.compare.statistics.flow_heads import head_logit_changes, head_means, mean_free
    from layerwise.compare.statistics.flow_means import LOGIT_CHANGE
    from layerwise.flow.results import read_flow_description

    heads = head_logit_changes(given.path("heads"))
    description = read_flow_description(given.path("description"))
    found = head_means(heads, description, options["resamples"], options["seed"], LOGIT_CHANGE)
    return found.merge(mean_free(heads), on=["type", "flow"], how="left")


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
        "free",
        "n",
        "n_images",
    ),
    compute=compute,
    per_flow=True,
    only_with="head differences",
)
