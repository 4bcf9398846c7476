"""How good the model's answers are in every layer, and what they lean to. The last layer is what the model says.

Columns:

- ``model``: name of the model
- ``task``: name of the task
- ``prompt``: name of the prompt
- ``layer``: 0 for the embedding output, then the blocks, read through the final norm; n_layers + 1 for its own output
- ``n_layers``: blocks of the model
- ``label``: of the task, or "macro" for the mean over its labels
- ``split``: val or test
- ``answer``: "as said", the most probable class; "threshold", the same with the offsets that are best on validation;
  "written", the class found in the text that the model wrote, in the last layer alone
- ``metric``: accuracy, the task's own, and roc_auc (of test items); brier; calibration_error (without interval); mass,
  the probability of all answers among all tokens; says:CLASS, the share of items of which a class is said;
  offset:CLASS, what is added to its log odds at the threshold; unmatched, the share of written texts without an answer,
  which count as wrong
- ``value``: the score
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``n``: items
- ``n_groups``: groups of items that a split keeps together
- ``n_texts``: texts that the interval is over, too; 0 for none
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from layerwise.compare.entry import Comparison

if TYPE_CHECKING:
    import pandas as pd

    from layerwise.compare.inputs import Given


def compute(given: Given, options: Mapping[str, Any]) -> pd.DataFrame:
    from layerwise.compare.statistics.answered import given_cells
    from layerwise.compare.statistics.said import score_answers

    return score_answers(given_cells(given, options), given.models, options["resamples"], options["seed"])


COMPARISON = Comparison(
    reads=("predictions", "answers", "generated", "tasks", "models"),
    options=("resamples", "seed", "said", "generated"),
    columns=(
        "model",
        "task",
        "prompt",
        "layer",
        "n_layers",
        "label",
        "split",
        "answer",
        "metric",
        "value",
        "low",
        "high",
        "n",
        "n_groups",
        "n_texts",
    ),
    compute=compute,
)
