"""Significance when many things are tested: Holm's correction over a family of tests."""

import numpy as np
import pandas as pd

# The level of every test, corrected over its family.
LEVEL = 0.05


def holm(p_values: pd.Series) -> pd.Series:
    """Holm's step-down adjustment (1979, Scand. J. Statist. 6:65) over the values that are defined; NaN stays NaN."""
    rising = p_values.dropna().sort_values(kind="stable")
    adjusted = (rising * np.arange(len(rising), 0, -1)).cummax().clip(upper=1)
    return adjusted.reindex(p_values.index)


def holm_is_bound(p_values: pd.Series, is_bound: pd.Series) -> pd.Series:
    """Which of Holm's adjusted values are bounds: those that come of a p-value that is one.

    An adjusted value is the greatest of the p-values up to its own, each times the number of those from it on, so that
    another row's p-value may have made it.
    """
    order = p_values.dropna().sort_values(kind="stable").index
    times = np.arange(len(order), 0, -1) * p_values[order].to_numpy()
    greatest = np.maximum.accumulate(times)
    # The place that an adjusted value comes of: the last one up to it that set a new greatest value.
    source = np.maximum.accumulate(np.where(times == greatest, np.arange(len(order)), 0))
    found = pd.Series(False, index=p_values.index)
    found[order] = is_bound[order].to_numpy()[source]
    return found


def with_holm(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``p_holm`` and ``p_holm_is_bound`` after its ``p_value`` and ``p_is_bound``, over all of its rows.

    A row without a p-value is in no family. It must be without one for reasons that are known before the test items are
    looked at - too few images, a class that is not there, the same layer chosen on validation -, or else leaving it out
    would favour the others.
    """
    place = table.columns.get_loc("p_is_bound") + 1
    table.insert(place, "p_holm", holm(table["p_value"]))
    table.insert(place + 1, "p_holm_is_bound", holm_is_bound(table["p_value"], table["p_is_bound"]))
    return table
