"""Mean probability of the answer's first token, by type of question and layer.

Columns:

- ``type``: of question
- ``norm``: whether the final norm comes before the output head
- ``casing``: lower or capitalised: how the answer is written
- ``layer``: 0 for the embedding output, then the blocks
- ``mean``: probability of the answer's first token, over questions
- ``low``: lower end of its 95 % interval over images, for this layer alone; NaN where none can be trusted
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
    from layerwise.flow.results import read_tracing

    tracing = read_tracing(given.path("tracing"))
    return means(tracing, ["norm", "casing"], "layer", "p", options["resamples"], options["seed"])


COMPARISON = Comparison(
    reads=("tracing",),
    options=("resamples", "seed"),
    columns=(
        "type",
        "norm",
        "casing",
        "layer",
        "mean",
        "low",
        "high",
        "n",
        "n_images",
    ),
    compute=compute,
    per_flow=True,
)
