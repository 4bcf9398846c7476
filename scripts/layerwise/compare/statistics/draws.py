"""Several draws of an untrained twin, shown as one model: the mean of their scores, and its interval."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import stdtrit

# What tells the scores of a model apart; the rest of a row belongs to the score.
_KEYS = ["task", "prompt", "probe", "layer", "n_layers", "label", "split", "metric", "layer_name", "split_seed"]
_KEYS += ["train_groups", "train_items"]


def merge_draws(rows: pd.DataFrame, draws: Mapping[str, str]) -> pd.DataFrame:
    """The rows with one model in place of its draws: means over draws, with 95 % intervals.

    The interval allows for both the images and the draws. Its variance is that by image, averaged over the draws as if
    all erred on the same images, plus s^2 / K, s^2 being the variance of the K draws' scores. Both overlap a little, so
    that the interval is rather too long. It is Student's, with Satterthwaite's degrees of freedom (1946,
    doi:10.2307/3002019), and stays within the range of the draws' own intervals and 0 to 1 together.

    Args:
        rows: scores or curves, with ``value``, ``low``, ``high`` and ``n_groups``.
        draws: by the name of a draw that of the model which it is a draw of.

    Returns:
        The rows with a column ``draws``: the names of the draws that a row is the mean of, separated by spaces; empty
        for a model of its own. A model's rows are where those of its first draw were.
    """
    drawn = rows["model"].isin(draws)
    if not drawn.any():
        return rows.assign(draws="")
    keys = ["model", *(key for key in _KEYS if key in rows)]
    # Resplits have no further key in some tables: the n-th row of one draw belongs to the n-th row of another.
    parts = rows[drawn].assign(names=rows["model"])
    parts["turn"] = parts.groupby(keys, dropna=False).cumcount()
    parts["model"] = parts["model"].map(draws)
    merged = [_mean(of_key) for _, of_key in parts.groupby([*keys, "turn"], sort=False, dropna=False)]
    found = pd.concat([rows[~drawn].assign(draws=""), pd.DataFrame(merged).drop(columns=["names", "turn"])])
    return found.sort_index(kind="stable").astype({name: rows[name].dtype for name in rows}).reset_index(drop=True)


def _mean(draws: pd.DataFrame) -> pd.Series:
    """One row of several draws; its index is that of the first one."""
    row, n = draws.iloc[0].copy(), len(draws)
    values = draws["value"].to_numpy()
    row["value"], row["draws"] = values.mean(), " ".join(draws["names"])
    low, high = _interval(draws, values) if n > 1 else (row["low"], row["high"])
    row["low"], row["high"] = low, high
    return row


def _interval(draws: pd.DataFrame, values: np.ndarray) -> tuple[float, float]:
    n, freedom = len(draws), float(draws["n_groups"].iloc[0]) - 1
    lengths = (draws["high"] - draws["low"]).to_numpy()
    if not (np.isfinite(lengths).all() and freedom > 0):
        return np.nan, np.nan
    by_image = float(np.square(lengths / 2 / stdtrit(freedom, 0.975)).mean())
    by_draw = float(values.var(ddof=1)) / n
    variance = by_image + by_draw
    noise = by_image**2 / freedom + by_draw**2 / (n - 1)
    half = float(stdtrit(variance**2 / noise, 0.975)) * np.sqrt(variance) if noise > 0 else 0.0
    return (
        max(values.mean() - half, min(0.0, draws["low"].min())),
        min(values.mean() + half, max(1.0, draws["high"].max())),
    )
