"""Mean change of the logit difference when attention is blocked, by type of question, flow and window.

The logit difference says how far the answer's logit is above that of a wrong answer, the question's distractor. It does
not saturate, as probabilities near 1 do, and what makes both answers more probable leaves it as it is.

Columns:

- ``type``: of question
- ``flow``: which attention is blocked, as in image->question
- ``window``: the block at the centre of the window, from 1
- ``mean``: change of the logit difference, blocked minus free, over questions
- ``low``: lower end of its 95 % interval over images, for this window alone; NaN where none can be trusted
- ``high``: upper end
- ``free``: mean logit difference of the same questions with nothing blocked
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
    from layerwise.compare.statistics.flow_means import LOGIT_CHANGE, means, with_logit_changes
    from layerwise.flow.results import DIFFERENCE_COLUMNS, read_differences

    changes = with_logit_changes(read_differences(given.path("changes")))
    line = ["type", "flow", "window"]
    free = changes.groupby(line, sort=False)[DIFFERENCE_COLUMNS[0]].mean().rename("free")
    found = means(changes, ["flow"], "window", LOGIT_CHANGE, options["resamples"], options["seed"])
    return found.merge(free.reset_index(), on=line, how="left") if len(found) else found.assign(free=[])


COMPARISON = Comparison(
    reads=("changes",),
    options=("resamples", "seed"),
    columns=(
        "type",
        "flow",
        "window",
        "mean",
        "low",
        "high",
        "free",
        "n",
        "n_images",
    ),
    compute=compute,
    per_flow=True,
    only_with="distractors",
)
