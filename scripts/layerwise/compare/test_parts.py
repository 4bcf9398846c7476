"""Scores on parts of the test items: by whether the text was seen in training, and by what the text alone has right.

A row per layer and part of every cell that has parts: its task has unseen texts, which its prompt shows, or the model
also reads the same words without the image. The probes are those of the scores; none is fitted here.

Columns:

- ``model``: name of a model without intervention that is nobody's untrained twin
- ``task``: name of the task; tasks are in the order of the config
- ``prompt``: name of the prompt
- ``metric``: the task's own
- ``label``: the task's only label, or "macro" for the mean over the labels for which the metric is defined in the part
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm
- ``n_layers``: blocks of the model
- ``is_best``: whether it is the layer with the highest validation score, of 0 to n_layers; the lowest of equals
- ``part``: "all"; "seen texts" and "unseen texts"; "text alone wrong" and "text alone right", the items that the probe
  of the same words without the image has wrong or right, in the layer that is best for it on validation; neither of
  these two where one has a single class, as where the words alone always give the same answer
- ``value``: test score of the part
- ``low``: lower end of its 95 % interval
- ``high``: upper end
- ``n``: items of the part
- ``n_groups``: groups of items that a split keeps together
- ``n_texts``: texts that the interval is over, too; 0 for none
- ``majority``: score of the majority baseline on the same items
- ``text_only``: score, on the same items, of the probe of the same layer that reads the same words without the image;
  NaN without such a prompt
- ``text_only_prompt``: name of that prompt; else empty
- ``difference``: of "unseen texts" its value less that of "seen texts"; else NaN; with difference_low and _high
- ``difference_low``: lower end of its 95 % interval
- ``difference_high``: upper end
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

    from layerwise.compare.inputs import as_they_are
    from layerwise.compare.statistics.parts import score_parts
    from layerwise.tasks.labels import read_task

    scores, models = as_they_are(given.scores, given.models)
    twins = {twin for of_model in options.get("twins", {}).values() for twin in of_model}
    shown = {name: model for name, model in models.items() if name not in twins}
    # A task's labels are in a folder of its name.
    labels = {file.parent.name: read_task(file.parent)[0] for file in given.files.get("labels", [])}
    how = options["resamples"], options["seed"]
    found = score_parts(scores, given.tasks, shown, given.prompts, labels, given.path("predictions"), *how)
    return found if len(found) else pd.DataFrame(columns=COMPARISON.columns)


COMPARISON = Comparison(
    reads=("scores", "predictions", "tasks", "models", "prompts", "labels"),
    options=("resamples", "seed", "twins"),
    columns=(
        "model",
        "task",
        "prompt",
        "metric",
        "label",
        "layer",
        "n_layers",
        "is_best",
        "part",
        "value",
        "low",
        "high",
        "n",
        "n_groups",
        "n_texts",
        "majority",
        "text_only",
        "text_only_prompt",
        "difference",
        "difference_low",
        "difference_high",
    ),
    compute=compute,
)
