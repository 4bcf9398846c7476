"""What fitting the probes costs, and keeping them."""

from collections import Counter
from pathlib import Path

import pandas as pd

from layerwise.cost.inputs import count_items, expected_items, size_of_data
from layerwise.descriptions import read_description
from layerwise.planning.grid import ProbeCell
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.kinds.kind import ProbeKind
from layerwise.stimuli.catalogue import KINDS
from layerwise.study import Study

# An eigendecomposition of a symmetric matrix takes about so many times the cube of its size (Golub and Van Loan 2013,
# Matrix Computations, section 8.3).
PER_EIGENVECTORS = 9
# Bytes of states per second of a core that carries three probes (docs/benchmarks.md).
CARRIED_PER_SECOND = 0.17e9


def probe_flop(study: Study, cells: pd.DataFrame) -> float:
    """Floating-point operations of all probes: two products per pair, for each label and C.

    Logistic regression is counted with the torch engine; further kinds say themselves what they take. Ridge regression
    takes the products of all pairs of dimensions and one eigendecomposition per layer, for all labels, penalties and
    controls together.

    Args:
        study: tasks that are made already are read from its results.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
    """
    total = 0.0
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    rows = {task: training_rows(study, task) for task in study.grid.class_tasks()}
    C = study.config.probes.C
    kinds: dict[tuple[str, str, str], list[ProbeKind]] = {}
    for further in study.grid.kind_cells():
        kinds.setdefault(further[:3], []).append(PROBE_KINDS[further.kind])
    beside = set(study.grid.position_cells())
    at_positions = Counter(ProbeCell(*at[:3]) for at in study.grid.position_probes())
    for probed in study.grid.probe_cells():
        model, task, prompt = probed
        cell = of_cell.loc[(model, study.config.tasks[task].stimuli, prompt)]
        layers = (cell["layers"] + 2) * _fits_per_label(study, model, task)
        # Of a block's heads each is narrow, and all together about as wide as its output.
        layers += cell["layers"] * len(study.grid.sites(model, prompt))
        if probed in beside:
            positions = study.grid.picture_positions(study.config.tasks[task].stimuli, prompt)
            layers += (cell["layers"] + 2) * len(positions)
        layers += (cell["layers"] + 2) * at_positions[probed]
        pairs = PROBE_KINDS["logistic"].products(layers, len(C))
        # Further kinds have no other splits.
        fits = _fits_per_label(study, model, task) - len(study.config.tasks[task].split.seeds or ())
        pairs += fits * sum(
            kind.products(int(cell["layers"]) + 2, len(kind.tried(C))) for kind in kinds.get((model, task, prompt), [])
        )
        total += 4 * pairs * rows[task] * cell["width"]
    items = {task: count_items(study, study.config.tasks[task].stimuli) for task in study.grid.number_tasks()}
    for model, task, prompt in study.grid.number_cells():
        cell = of_cell.loc[(model, study.config.tasks[task].stimuli, prompt)]
        # Of items that share a row, each row counts once.
        rows_read, width = min(items[task], cell["inputs"]), cell["width"]
        smaller = min(rows_read, width)
        of_layer = 2 * rows_read * width * smaller + PER_EIGENVECTORS * smaller**3
        total += of_layer * (cell["layers"] + 2)
    return total


def carried_bytes(study: Study, cells: pd.DataFrame) -> float:
    """Bytes of hidden states that are read once more, so that kept probes of other cells can read them.

    What is computed takes less time than reading. Arguments are those of :func:`probe_flop`.
    """
    of_cell = cells.set_index(["model", "stimuli", "prompt"])["bytes"]
    return sum(
        float(of_cell.loc[(model, study.config.tasks[task].stimuli, prompt)])
        for model, task in study.grid.carried_cells()
        for prompt in {each.prompt for each in study.grid.carried(model, task)}
    )


def kept_probes_bytes(study: Study, cells: pd.DataFrame) -> float:
    """Bytes of all probes that are kept: a float32 weight for each layer, label, margin and dimension.

    Arguments are those of :func:`probe_flop`.
    """
    if not study.config.probes.keep:
        return 0.0
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    margins = {task: _labels(study, task) * outputs_of(study, task) for task in study.grid.class_tasks()}
    total = 0.0
    for model, task, prompt in study.grid.probe_cells():
        cell = of_cell.loc[(model, study.config.tasks[task].stimuli, prompt)]
        total += 4 * (cell["layers"] + 2) * margins[task] * cell["width"]
    return total


def outputs_of(study: Study, task: str) -> int:
    """Rows of a probe's weights: one for two classes, else one per class."""
    return _labels_and_outputs(study, task)[1]


def training_rows(study: Study, task: str) -> float:
    """Rows that a task's probes learn from, over all labels; of more than two classes a label counts once for each.

    Those of a made task are counted. Otherwise all items count for each label.
    """
    made = Path(study.task_folder(task)) / "task.json"
    labels, outputs = _labels_and_outputs(study, task)
    if made.exists():
        balance = read_description(made)["balance"]
        return outputs * sum(sum(of_label["train"].values()) for of_label in balance.values())
    return count_items(study, study.config.tasks[task].stimuli) * labels * outputs


def _labels(study: Study, task: str) -> int:
    """Labels of a task. Where each category is one, an item has only the label of its own."""
    entry = study.config.tasks[task]
    labels, _ = _labels_and_outputs(study, task)
    if (Path(study.task_folder(task)) / "task.json").exists() or entry.knowledge is not None:
        return labels
    return len(entry.labels) if entry.labels else max(labels, expected_items(study, entry.stimuli).categories)


def _labels_and_outputs(study: Study, task: str) -> tuple[int, int]:
    """Labels of a task's item, and rows of the weights of each.

    All labels of a made task are counted. Otherwise there is one label each where only annotations tell how many there
    are: values of an attribute, or pairs of categories that an image has both of.
    """
    made = Path(study.task_folder(task)) / "task.json"
    if made.exists():
        description = read_description(made)
        return len(description["balance"]), _outputs(len(description["classes"]))
    entry = study.config.tasks[task]
    stimuli = study.config.stimuli[entry.stimuli]
    kind = KINDS[stimuli.kind]
    labels, classes = 1, 2
    if entry.knowledge is None:
        labels = kind.labels(stimuli, entry)
        classes = len(entry.classes or kind.classes_of(stimuli, entry) or range(2))
    else:
        bins = getattr(entry.knowledge, "bins", 2)
        classes = bins if isinstance(bins, int) else len(bins)
        if entry.knowledge.about == "attributes":
            labels = size_of_data(study, entry.stimuli).attribute_values
    return labels, _outputs(classes)


def _outputs(classes: int) -> int:
    """Rows of a probe's weights."""
    return 1 if classes == 2 else classes


def _fits_per_label(study: Study, model: str, task: str) -> float:
    """Paths of C that a label takes: its own, those of other splits, portions and draws of images, its controls'."""
    own = 1 + len(study.config.tasks[task].split.seeds or ())
    if study.config.models[model].intervention is not None:
        # Compared with the model as it is, which has the controls.
        return own
    controls = study.config.probes.controls
    # Portions are 1/2, 1/4, ... of the images: together about as many as all. Controls need few of the C.
    portions = 1 if controls.description_length else 0
    # Each draw takes the one C that was chosen.
    draws = study.config.probes.training_draws / len(study.config.probes.C)
    return own + portions + draws + controls.random_labels / 2
