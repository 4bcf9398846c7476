"""Which head of a block is best, and which heads hold more than chance."""

from collections.abc import Mapping

import pandas as pd

from layerwise.compare.inputs import CELL, Task
from layerwise.compare.statistics.significance import LEVEL, holm
from layerwise.compare.statistics.swaps import LEAST_IMAGES


def compare_sites(sites: pd.DataFrame, tasks: Mapping[str, Task]) -> pd.DataFrame:
    """The headline test scores of all sites, with the best head of each block and the heads above chance.

    A head is above chance if its one-sided p-value, adjusted by Holm's method over the heads of its cell, is below the
    level and there are images enough for a test. The best head of a block is chosen on validation, the first of equals.

    Args:
        sites: Scores at sites, see :func:`layerwise.compare.inputs.read_sites`.
        tasks: Task descriptions.

    Returns:
        A row per cell, site, block and head; :mod:`layerwise.compare.within_blocks` lists the columns.
    """
    labels = pd.DataFrame([(task.task, task.headline_label) for task in tasks.values()], columns=["task", "label"])
    rows = sites.merge(labels, on=["task", "label"])
    test, validation = rows[rows["split"] == "test"].reset_index(drop=True), rows[rows["split"] == "val"]
    ranked = validation[validation["site"] == "heads"].sort_values(["value", "head"], ascending=[False, True])
    best = ranked.drop_duplicates([*CELL, "layer"])[[*CELL, "site", "layer", "head"]].assign(best=True)
    test = test.merge(best, on=[*CELL, "site", "layer", "head"], how="left")
    test["best"] = test["best"].notna()
    test["above_chance"] = False
    enough = test["n_groups"] >= LEAST_IMAGES["accuracy"]
    for _, heads in test[test["site"] == "heads"].groupby(CELL, sort=False):
        test.loc[heads.index, "above_chance"] = holm(heads["p_value"].where(enough)) < LEVEL
    return test
