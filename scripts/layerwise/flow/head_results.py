"""What was measured of single heads and groups of them: the file, and its reader.

``{questions}.heads.parquet`` has one row per kept question, flow and head or group: ``question_id``, ``image_id``,
``type``, ``flow``, ``layer`` (the block, from 1) and ``head`` (from 1, those that ask), both 0 for a group, ``group``
(its name, else empty), ``n_layers``, ``p`` and ``p_blocked``, ``change`` in percent. With distractors also
``logit_difference`` and ``logit_difference_blocked``, see :mod:`layerwise.flow.results`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.flow.results import ASKED, DIFFERENCE_COLUMNS, KEPT, change_in_percent, check_probabilities, read_table
from layerwise.jobs.command import finished_file

# All types of questions together, where tables and figures have one more type for them.
ALL = "all types"
HEAD_COLUMNS = [*ASKED, "flow", "layer", "head", "group", "n_layers", "p", "p_blocked", "change"]


def write_heads(
    path: Path,
    measured: Sequence[dict[str, Any]],
    asked: pd.DataFrame,
    flows: Sequence[str],
    places: Sequence[tuple[int, int, str]],
) -> None:
    """Write the table of one cell.

    Args:
        path: where to write.
        measured: what was measured of each question, see :func:`layerwise.flow.measuring.measure`.
        asked: the same questions: rows of ``questions.parquet``.
        flows: names of the flows that were blocked by head.
        places: see :attr:`layerwise.flow.head_runs.HeadPlaces.named`.
    """
    kept = [i for i, row in enumerate(measured) if row["outcome"] == KEPT]
    rows, right = [measured[i] for i in kept], asked.iloc[kept].reset_index(drop=True)
    shape = (len(rows), len(flows), len(places))

    def of_all(name: str) -> np.ndarray:
        return np.array([row[name] for row in rows]).reshape(shape)

    none = np.full(shape, np.nan)
    table = heads_table(right, np.array([row["p"] for row in rows]), of_all("heads") if flows else none, flows, places)
    if measured and "difference" in measured[0]:
        free = np.array([row["difference"] for row in rows])
        blocked = of_all("head_differences") if flows else none
        table = table.assign(**dict(zip(DIFFERENCE_COLUMNS, _flat(free, blocked), strict=True)))
    table = table[table["p_blocked"].notna()].reset_index(drop=True)
    with finished_file(path) as partial:
        table.to_parquet(partial, index=False)


def heads_table(
    asked: pd.DataFrame,
    p: np.ndarray,
    blocked: np.ndarray,
    flows: Sequence[str],
    places: Sequence[tuple[int, int, str]],
) -> pd.DataFrame:
    """The long table of all blocked runs.

    Args:
        asked: the kept questions, n rows.
        p: shape (n,).
        blocked: shape (n, flows, places); NaN where a question has no such flow.
        flows: their names.
        places: block, head and group of each.
    """
    n, each = len(asked), len(flows) * len(places)
    keys = asked[ASKED].loc[asked.index.repeat(each)].reset_index(drop=True)
    keys["flow"] = np.tile(np.repeat(np.array(flows, object), len(places)), n)
    layer, head, group = zip(*places, strict=True)
    for name, values in (("layer", layer), ("head", head)):
        keys[name] = np.tile(np.array(values, np.int32), n * len(flows))
    # Names are few, and rows many.
    keys["group"] = pd.Categorical(np.tile(np.array(group, object), n * len(flows)), categories=dict.fromkeys(group))
    keys["flow"] = pd.Categorical(keys["flow"], categories=list(flows))
    keys["n_layers"] = np.int32(max(layer))
    keys["p"], keys["p_blocked"] = _flat(p, blocked)
    keys["change"] = change_in_percent(keys["p"], keys["p_blocked"])
    return keys[HEAD_COLUMNS]


def _flat(free: np.ndarray, blocked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One number per question and all of its runs, for each row of the long table."""
    return np.repeat(free, blocked.shape[1] * blocked.shape[2]), blocked.reshape(-1)


def read_heads(path: str | Path) -> pd.DataFrame:
    """Read the table of blocked heads.

    Raises:
        InputError: when the file is no such table, a probability is outside 0 to 1, or a block outside the model.
    """
    table = read_table(path, HEAD_COLUMNS)
    check_probabilities(path, table, ["p", "p_blocked"])
    bad = ~table["layer"].between(0, table["n_layers"]) | ((table["layer"] == 0) != (table["group"] != ""))
    if bad.any():
        raise InputError(f"{path}: row {int(bad.idxmax())} is neither of a head in the model's blocks nor of a group")
    return table
