"""Mean changes when single heads are blocked, and the head that changes most, with intervals over images."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.compare.statistics.flow_means import TIED, lowest, means, with_logit_changes
from layerwise.errors import InputError
from layerwise.flow.head_results import ALL, read_heads
from layerwise.flow.results import DIFFERENCE_COLUMNS

PLACE = ["layer", "head", "group"]


def head_means(
    heads: pd.DataFrame,
    description: Mapping[str, Mapping[str, Any]],
    resamples: int,
    seed: int,
    value: str = "change",
) -> pd.DataFrame:
    """Mean over questions for every head and group, with an interval for it alone.

    Args:
        heads: see :mod:`layerwise.flow.head_results`.
        description: of the same cell; it names model and questions, and the types in order.
        resamples, seed: of the bootstrap.
        value: the column to average.

    Returns:
        A row per type, flow and head or group; :mod:`layerwise.compare.flow_heads` lists the columns. Types are also
        taken together.
    """
    numbered, places = _numbered(_with_all(heads))
    found = means(numbered, ["flow"], "place", value, resamples, seed)
    return _named(found.join(places, on="place"), description, heads, ["place"]).drop(columns="place")


def strongest_heads(
    heads: pd.DataFrame,
    description: Mapping[str, Mapping[str, Any]],
    resamples: int,
    seed: int,
    value: str = "change",
) -> pd.DataFrame:
    """Per type and flow the single head whose blocking lowers the answer's probability most, or another value.

    Each resample picks its own head, so that the interval allows for the picking; see
    :func:`layerwise.compare.statistics.flow_means.lowest`.

    Args:
        heads: not empty; see :mod:`layerwise.flow.head_results`.
        description: of the same cell; it names model and questions, and the types in order.
        resamples, seed: of the bootstrap.
        value: the column whose mean is lowest.

    Returns:
        A row per type and flow; :mod:`layerwise.compare.flow_strongest_heads` lists the columns.
    """
    single = heads[heads["layer"] > 0]
    numbered, places = _numbered(_with_all(single))
    # The lowest of many equal means lies so many standard errors below them.
    tied = max(TIED, math.sqrt(2 * math.log(len(places))))
    found = lowest(numbered, ["flow"], "place", value, resamples, seed, tied).rename(columns={"mean": "change"})
    found = found.join(places, on="place").assign(n_layers=int(heads["n_layers"].iloc[0]), n_heads=len(places))
    return _named(found, description, heads, [])


def head_logit_changes(path: str | Path) -> pd.DataFrame:
    """The blocked runs of heads whose questions have a logit difference, with its change.

    Args:
        path: of the table, see :mod:`layerwise.flow.head_results`.

    Raises:
        InputError: when the file is no such table, or its questions have no distractors.
    """
    heads = read_heads(path)
    if missing := [column for column in DIFFERENCE_COLUMNS if column not in heads]:
        raise InputError(f"{path}: lacks the columns {', '.join(missing)}; its questions have no distractors")
    return with_logit_changes(heads)


def mean_free(heads: pd.DataFrame) -> pd.DataFrame:
    """``free`` per ``type`` and ``flow``: the mean logit difference of the same questions with nothing blocked.

    Args:
        heads: of questions with distractors, see :func:`head_logit_changes`.
    """
    # Every head has a row of each question.
    free = _with_all(heads).astype({"flow": str}).groupby(["type", "flow"], sort=False)[DIFFERENCE_COLUMNS[0]].mean()
    return free.rename("free").reset_index()


def _named(
    found: pd.DataFrame, description: Mapping[str, Mapping[str, Any]], heads: pd.DataFrame, then: list[str]
) -> pd.DataFrame:
    """With the names of model and questions, and types and flows in their order."""
    types, flows = [ALL, *description["types"]], list(dict.fromkeys(heads["flow"]))
    ranks = found.assign(type=found["type"].map(types.index), flow=found["flow"].map(flows.index))
    found = found.loc[ranks.sort_values(["type", "flow", *then], kind="stable").index].reset_index(drop=True)
    cell = description["cell"]
    return found.assign(model=cell["model"], questions=cell["questions"])


def _with_all(heads: pd.DataFrame) -> pd.DataFrame:
    """With all types of questions as one more type, if there are several."""
    if heads["type"].nunique() < 2:
        return heads
    return pd.concat([heads.assign(type=ALL), heads], ignore_index=True)


def _numbered(heads: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """With the column ``place``, and what each place is: block by block, then groups."""
    places = heads[PLACE].drop_duplicates(ignore_index=True).astype({"group": str})
    # Single heads are in order in the table. Types and flows have the same ones.
    places = places.sort_values("layer", key=lambda layer: layer.where(layer > 0, layer.max() + 1), kind="stable")
    places = places.reset_index(drop=True)
    number = {key: place for place, key in enumerate(places.itertuples(index=False, name=None))}
    keys = zip(heads["layer"], heads["head"], heads["group"], strict=True)
    return heads.assign(place=[number[key] for key in keys], flow=heads["flow"].astype(str)), places
