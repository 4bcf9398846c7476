"""What fitting the probes costs."""

from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.cost.inputs import count_items
from layerwise.datasets.snli_ve import LABELS
from layerwise.datasets.world.scenes import COLOURS
from layerwise.descriptions import read_description
from layerwise.grid import Grid
from layerwise.recipes import stimuli_folder

# Pairs of matrix products that the torch engine needs per label and C, on average (docs/benchmarks.md).
PAIRS_PER_FIT = 12


def probe_flop(config: dict[str, Any], cells: pd.DataFrame, results: Path) -> float:
    """Floating-point operations of all probes with the torch engine: two products per pair, for each label and C.

    Args:
        config: the validated config.
        cells: what :func:`layerwise.cost.estimate.estimate_states` gave.
        results: the results root, where tasks are read from if they were made.
    """
    total = 0.0
    of_cell = cells.set_index(["model", "stimuli", "prompt"])
    grid = Grid(config)
    rows = {task: _rows(config, task, results) for task in config["tasks"]}
    for model, task, prompt in grid.probe_cells():
        cell = of_cell.loc[(model, config["tasks"][task]["stimuli"], prompt)]
        layers = (cell["layers"] + 2) * _fits_per_label(config, model, task)
        # Of a block's heads each is narrow, and all together about as wide as its output.
        layers += cell["layers"] * len(grid.sites(model, prompt))
        total += 4 * PAIRS_PER_FIT * len(config["probes"]["C"]) * rows[task] * cell["width"] * layers
    return total


def _rows(config: dict[str, Any], task: str, results: Path) -> float:
    """Rows that a task's probes learn from, over all labels; of more than two classes a label counts once for each.

    Of a task that was made these are counted. Else all items count, and one label for each where only annotations tell
    how many there are: values of an attribute, or pairs of categories that an image has both of.
    """
    made = results / "tasks" / task / "task.json"
    if made.exists():
        description = read_description(made)
        rows = sum(sum(of_label["train"].values()) for of_label in description["balance"].values())
        return rows * _outputs(len(description["classes"]))
    entry = config["tasks"][task]
    stimuli = config["stimuli"][entry["stimuli"]]
    knowledge = entry.get("knowledge", {})
    labels, bins = 1, knowledge.get("bins", 2)
    if "knowledge" not in entry and stimuli["kind"] == "table":
        labels = len(entry.get("labels", stimuli["labels"]))
    elif knowledge.get("about") == "attributes" and "world" in config["datasets"][stimuli["dataset"]]:
        labels = len(COLOURS)
    classes = bins if isinstance(bins, int) else len(bins)
    if "knowledge" not in entry and stimuli["kind"] == "snli-ve":
        classes = len(entry.get("classes", LABELS))
    items = count_items(config, entry["stimuli"], results / stimuli_folder(config, entry["stimuli"]))
    return items * labels * _outputs(classes)


def _outputs(classes: int) -> int:
    """Rows of a probe's weights."""
    return 1 if classes == 2 else classes


def _fits_per_label(config: dict[str, Any], model: str, task: str) -> float:
    """Paths of C that a label takes: its own, those of other splits, of portions of the images, and its controls'."""
    own = 1 + len(config["tasks"][task]["split"].get("seeds", []))
    if "intervention" in config["models"][model]:
        # Compared with the model as it is, which has the controls.
        return own
    controls = config["probes"]["controls"]
    # Portions are 1/2, 1/4, ... of the images: together about as many as there are. Controls need few of the C.
    portions = 1 if controls["description_length"] else 0
    return own + portions + controls["random_labels"] / 2
