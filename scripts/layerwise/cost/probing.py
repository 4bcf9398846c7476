"""What fitting the probes costs."""

from pathlib import Path

import pandas as pd

from layerwise.cost.inputs import count_items, size_of_data
from layerwise.descriptions import read_description
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study

# Pairs of matrix products that the torch engine needs per label and C, on average (docs/benchmarks.md).
PAIRS_PER_FIT = 12


def probe_flop(study: Study, cells: pd.DataFrame) -> float:
    """Floating-point operations of all probes with the torch engine: two products per pair, for each label and C.

    Args:
        study: tasks that are made already are read from its results.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    total = 0.0
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    rows = {task: training_rows(study, task) for task in study.config.tasks}
    for model, task, prompt in study.grid.probe_cells():
        cell = of_cell.loc[(model, study.config.tasks[task].stimuli, prompt)]
        layers = (cell["layers"] + 2) * _fits_per_label(study, model, task)
        # Of a block's heads each is narrow, and all together about as wide as its output.
        layers += cell["layers"] * len(study.grid.sites(model, prompt))
        total += 4 * PAIRS_PER_FIT * len(study.config.probes.C) * rows[task] * cell["width"] * layers
    return total


def training_rows(study: Study, task: str) -> float:
    """Rows that a task's probes learn from, over all labels; of more than two classes a label counts once for each.

    Those of a made task are counted. Otherwise all items count, and one label each where only annotations tell how many
    there are: values of an attribute, or pairs of categories that an image has both of.
    """
    made = Path(study.task_folder(task)) / "task.json"
    if made.exists():
        description = read_description(made)
        rows = sum(sum(of_label["train"].values()) for of_label in description["balance"].values())
        return rows * _outputs(len(description["classes"]))
    entry = study.config.tasks[task]
    stimuli = study.config.stimuli[entry.stimuli]
    kind = KINDS[stimuli.kind]
    labels, classes = 1, 2
    if entry.knowledge is None:
        labels = min(kind.labels(stimuli), len(entry.labels or range(kind.labels(stimuli))))
        classes = len(entry.classes or kind.classes or range(2))
    else:
        bins = getattr(entry.knowledge, "bins", 2)
        classes = bins if isinstance(bins, int) else len(bins)
        if entry.knowledge.about == "attributes":
            labels = size_of_data(study, entry.stimuli).attribute_values
    return count_items(study, entry.stimuli) * labels * _outputs(classes)


def _outputs(classes: int) -> int:
    """Rows of a probe's weights."""
    return 1 if classes == 2 else classes


def _fits_per_label(study: Study, model: str, task: str) -> float:
    """Paths of C that a label takes: its own, those of other splits, of portions of the images, and its controls'."""
    own = 1 + len(study.config.tasks[task].split.seeds or ())
    if study.config.models[model].intervention is not None:
        # Compared with the model as it is, which has the controls.
        return own
    controls = study.config.probes.controls
    # Portions are 1/2, 1/4, ... of the images: together about as many as all. Controls need few of the C.
    portions = 1 if controls.description_length else 0
    return own + portions + controls.random_labels / 2
