"""The window in which blocking a flow lowers the logit difference most, by type of question and flow.

Columns:

- ``model``: name of the model
- ``questions``: name of the set of questions
- ``type``: of question
- ``flow``: which attention is blocked, as in image->question
- ``window``: the block at the centre of the strongest window, from 1
- ``n_layers``: blocks of the model
- ``change``: mean change of the logit difference in that window
- ``low``: lower end of its 95 % interval over images, which allows for picking the window; NaN where none can be
  trusted
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

    from layerwise.compare.statistics.flow_means import LOGIT_CHANGE, strongest_windows, with_logit_changes
    from layerwise.flow.results import read_differences, read_flow_description

    changes = with_logit_changes(read_differences(given.path("changes")))
    description = read_flow_description(given.path("description"))
    if changes.empty:
        return pd.DataFrame(columns=COMPARISON.columns)
    return strongest_windows(changes, description, options["resamples"], options["seed"], LOGIT_CHANGE)


COMPARISON = Comparison(
    reads=("changes", "description"),
    options=("resamples", "seed"),
    columns=(
        "model",
        "questions",
        "type",
        "flow",
        "window",
        "n_layers",
        "change",
        "low",
        "high",
        "n",
        "n_images",
    ),
    compute=compute,
    per_flow=True,
    only_with="distractors",
)
