"""Learning curves at the best layer of each cell."""

from collections.abc import Mapping

import pandas as pd

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.choice import choose_layer


def best_curves(curves: pd.DataFrame, scores: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The headline curve of each cell, at the layer that is best on validation with all training images.

    Args:
        curves: Curves of all cells and layers, see :func:`layerwise.compare.inputs.read_curves`.
        scores: Scores of all cells, which decide the best layers.
        tasks: Task descriptions.

    Returns:
        A row per cell and number of images; :mod:`layerwise.compare.learning` lists the columns.

    Raises:
        InputError: A task has no validation scores.
    """
    validation = headline_scores(scores, tasks, "val")
    best = validation.groupby(CELL)[["layer", "n_layers", "value"]].apply(choose_layer).rename("best").reset_index()
    labels = pd.DataFrame([(task.task, task.headline_label) for task in tasks.values()], columns=["task", "label"])
    rows = curves.merge(labels, on=["task", "label"]).merge(best, on=CELL)
    return rows[rows["layer"] == rows["best"]].reset_index(drop=True)
