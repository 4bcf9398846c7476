"""Mean change of the answer's probability when attention is blocked, by type of question, flow and window.

Columns:

- ``type``: of question
- ``flow``: which attention is blocked, as in image->question
- ``window``: the block at the centre of the window, from 1
- ``mean``: change of the answer's probability in percent, over questions
- ``low``: lower end of its 95 % interval over images, for this window alone; NaN where none can be trusted
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
    from layerwise.compare.statistics.flow_means import means
    from layerwise.flow.results import read_changes

    changes = read_changes(given.path("changes"))
    return means(changes, ["flow"], "window", "change", options["resamples"], options["seed"])


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
        "n",
        "n_images",
    ),
    compute=compute,
    per_flow=True,
)
