"""Is all of a set right, or only some? Items that belong together, by layer: the probe's, and the model's answers.

A set holds the test items of a group that read the same words: one sentence about several pairs of pictures, one
statement about both pictures of a minimal pair, or about both sequences of a matched pair. Where a prompt reads the
same for all items of its task, a set holds those that show the same pictures, as two frames in both orders. Items that
are alone in this are left out.

Columns:

- ``model``: name of a model without intervention that is nobody's untrained twin
- ``task``: name of the task; tasks are in the order of the config
- ``prompt``: name of the prompt
- ``reading``: whose answers: "probe"; "as said", the most probable class in that layer; "written", the class found in
  the text that the model wrote, in the last layer alone
- ``label``: the task's only label, or "macro" for the mean over its labels
- ``layer``: 0 for the embedding output, n_layers for the topmost block, n_layers + 1 for the final norm, which is what
  the model itself answers
- ``n_layers``: blocks of the model
- ``is_best``: of a probe, whether it is the layer with the highest validation score; of answers, whether it is the last
- ``all_right``: share of the sets in which all items are right
- ``low``: lower end of its 95 % interval over groups
- ``high``: upper end
- ``accuracy``: share of right items among those in sets
- ``independent``: what all_right would be if every item were right with that probability, whatever its partners are:
  the mean over sets of accuracy to the power of their size
- ``difference``: all_right less independent
- ``difference_low``: lower end of its 95 % interval over groups; both are measured on the same resamples
- ``difference_high``: upper end
- ``n_sets``: sets, over all labels
- ``n``: items in them
- ``n_groups``: groups of items that a split keeps together
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
    from layerwise.compare.statistics.consistency import answered_sets, probed_sets
    from layerwise.tasks.labels import read_task

    scores, models = as_they_are(given.scores, given.models)
    twins = {twin for of_model in options.get("twins", {}).values() for twin in of_model}
    models = {name: model for name, model in models.items() if name not in twins}
    # A task's labels are in a folder of its name.
    labels = {file.parent.name: read_task(file.parent)[0] for file in given.paths("set-labels")}
    tasks = {name: task for name, task in given.tasks.items() if name in labels}
    how = options["resamples"], options["seed"]
    rows = list(probed_sets(scores, tasks, models, labels, given.path("predictions"), *how))
    rows += answered_sets(given, options, tasks, models, labels, *how)
    found = pd.DataFrame(rows, columns=COMPARISON.columns)
    place = {"task": list(tasks), "model": list(models)}
    return found.sort_values(
        ["task", "model"], key=lambda column: column.map(place[column.name].index), kind="stable", ignore_index=True
    )


COMPARISON = Comparison(
    reads=("scores", "predictions", "set-labels", "answers", "generated", "tasks", "models"),
    options=("resamples", "seed", "twins", "said", "generated"),
    columns=(
        "model",
        "task",
        "prompt",
        "reading",
        "label",
        "layer",
        "n_layers",
        "is_best",
        "all_right",
        "low",
        "high",
        "accuracy",
        "independent",
        "difference",
        "difference_low",
        "difference_high",
        "n_sets",
        "n",
        "n_groups",
    ),
    compute=compute,
)
