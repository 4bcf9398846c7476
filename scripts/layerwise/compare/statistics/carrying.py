"""Carried probes of a whole study: the best layer of each target, and corrections over all of them."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.significance import holm


def compare_carried(transfers: pd.DataFrame, scores: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The rows of all carried probes, with the target's best layer and p-values corrected over all of them.

    Args:
        transfers: see :mod:`layerwise.compare.transfers`.
        scores: scores of all models, each draw of random weights by itself; they choose the best layers, on validation.
        tasks: task descriptions; they give the order.

    Returns:
        Columns are those of :mod:`layerwise.compare.carried`.

    Raises:
        InputError: A task has no validation scores.
    """
    validation = headline_scores(scores, tasks, "val")
    best = validation.groupby(CELL)[["layer", "n_layers", "value"]].apply(choose_layer).rename("best_layer")
    table = transfers.merge(best.reset_index(), on=CELL, how="left", validate="many_to_one")
    table["p_holm"] = np.nan
    # Both centres ask whether it is the same knowledge, the one with and the one without a shift between the states.
    for centre in table["centre"].unique():
        family = (table["centre"] == centre) & (table["layer"] == table["best_layer"])
        table.loc[family, "p_holm"] = holm(table.loc[family, "p_value"])
    return table.sort_values("task", key=lambda column: column.map(list(tasks).index), kind="stable", ignore_index=True)
