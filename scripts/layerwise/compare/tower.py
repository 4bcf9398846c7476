"""Scores along the whole model: the blocks of the vision tower, the projector, and the blocks of the decoder.

Labels are those of the picture alone, which the tower has seen and the text does not decide.

Columns:

- ``model``: name of a model without intervention
- ``task``: name of the task; tasks are in the order of the config
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``part``: tower, projector or decoder
- ``pooling``: what is read. patch-mean: the mean over the picture's patches; class-token: the tower's class token;
  image-mean: the mean over the image's tokens in the decoder, which of the projector are its output; last: the last
  token of the prompt
- ``prompt``: of the last token's rows; else empty
- ``depth``: within the part, counted from 1; 0 for the embeddings of the patches
- ``place``: on the axis of all parts: the patches' embeddings are at 0, and the decoder's first block is behind the
  projector
- ``n_tower``: blocks of the tower; the projector's place is n_tower + 1
- ``n_layers``: blocks of the decoder; -1 where none of its layers is compared
- ``value``: test score
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``selectivity``: how far the score exceeds that of random labels; NaN without
- ``selectivity_low``: lower end of its 95 % interval
- ``selectivity_high``: upper end
- ``majority``: test score of the majority baseline
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.tower import along_model, read_tower

    tower = read_tower(given.path("tower-scores"))
    return along_model(tower, given.scores, given.tasks, options["position"], options["tower"])


COMPARISON = Comparison(
    reads=("tower-scores", "scores", "tasks"),
    options=("position", "tower"),
    columns=(
        *("model", "task", "metric", "label", "part", "pooling", "prompt", "depth", "place", "n_tower", "n_layers"),
        *("value", "low", "high", "selectivity", "selectivity_low", "selectivity_high", "majority"),
    ),
    compute=compute,
)
