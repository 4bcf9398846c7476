"""Probes of image tokens, in their mean and with a query, layer by layer on the same test items."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import Task, read_predictions
from layerwise.compare.statistics.layers import check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.errors import InputError
from layerwise.lens.scores import COLUMNS as PLACE_COLUMNS
from layerwise.probes.pooled import ATTENTION, MEAN

COLUMNS = ["model", "task", "pooling", "depth", "layer", "layer_name", "n_layers", "probe", "label", "split", "metric"]
COLUMNS += ["value", "low", "high", "n", "n_groups"]


def read_pooled(path: Path) -> pd.DataFrame:
    """Read the scores over image tokens of all models and tasks.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    try:
        return pd.read_parquet(path, columns=COLUMNS)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as scores over image tokens ({error}); delete it and run again"
        ) from error


def read_places(root: Path, cells: pd.DataFrame) -> pd.DataFrame:
    """Read how well queries find the boxes of their objects.

    Args:
        root: Folder with {model}/{task}/pooled-places.parquet.
        cells: ``model`` and ``task`` of each.

    Raises:
        InputError: A file is missing or damaged, or lacks a column.
    """
    tables = []
    for cell in cells.itertuples():
        path = root / cell.model / cell.task / "pooled-places.parquet"
        try:
            table = pd.read_parquet(path, columns=PLACE_COLUMNS)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{path}: cannot be read as scores of where queries look ({error}); delete it and run again"
            ) from error
        tables.append(table.assign(model=cell.model, task=cell.task))
    filled = [table for table in tables if not table.empty]
    return pd.concat(filled, ignore_index=True) if filled else tables[0]


def compare_poolings(
    pooled: pd.DataFrame,
    tasks: Mapping[str, Task],
    predictions_root: Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare both poolings in every model, task and layer.

    Args:
        pooled: See :func:`read_pooled`.
        tasks: Task descriptions; they give the order.
        predictions_root: Folder with {model}/{task}/pooled-predictions.parquet.
        n_resamples: Bootstrap resamples for the intervals.
        n_permutations: Swaps drawn for each p-value.
        seed: Seed; each row draws from its own stream.

    Returns:
        A row per layer; :mod:`layerwise.compare.pooled_differences` lists the columns.

    Raises:
        InputError: The predictions do not give the scores.
    """
    rows = []
    for task in tasks.values():
        of_task = pooled[
            (pooled["task"] == task.task) & (pooled["metric"] == task.metric) & (pooled["split"] == "test")
        ]
        for model in of_task["model"].unique():
            of_model = of_task[of_task["model"] == model]
            # Where only one label is left of a task of several, there is no mean over labels.
            label = (
                task.headline_label if (of_model["label"] == task.headline_label).any() else of_model["label"].iloc[0]
            )
            scores = of_model[of_model["label"] == label].set_index(["probe", "pooling", "depth"]).sort_index()
            file = predictions_root / model / task.task / "pooled-predictions.parquet"
            for depth in scores.loc["logistic", MEAN].index:
                stream = "\0".join([model, task.task, str(depth), "pooled"])
                rng = np.random.default_rng([seed, *hashlib.sha256(stream.encode()).digest()])
                row = _row(scores, depth, file, task, n_resamples, n_permutations, rng)
                rows.append({"model": model, "task": task.task, "metric": task.metric, "label": label} | row)
    if not rows:
        raise InputError("no task was probed over image tokens; name tasks in pooled.tasks, or leave pooled out")
    return with_holm(pd.DataFrame(rows))


def _row(
    scores: pd.DataFrame,
    depth: int,
    file: Path,
    task: Task,
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> dict[str, Any]:
    both = {pooling: scores.loc["logistic", pooling, depth] for pooling in (MEAN, ATTENTION)}
    second, first = (read_predictions(file, int(both[pooling]["layer"]), "test") for pooling in (ATTENTION, MEAN))
    paired = paired_difference(second, first, task.metric, task.n_classes, n_resamples, n_permutations, rng)
    of_mean = both[MEAN]
    row: dict[str, Any] = {"layer": depth} | {key: of_mean[key] for key in ("layer_name", "n_layers")}
    for (pooling, scored), value in zip(both.items(), (paired.second, paired.first), strict=True):
        check_same_run(file, int(scored["layer"]), task.metric, value, scored["value"])
        row |= {pooling: scored["value"], f"{pooling}_low": scored["low"], f"{pooling}_high": scored["high"]}
    row |= {"difference": paired.difference, "difference_low": paired.low, "difference_high": paired.high}
    row |= {"p_value": paired.p_value, "p_is_bound": paired.p_is_bound}
    row["majority"] = scores.loc[("majority", "", -1), "value"]
    return row | {key: int(of_mean[key]) for key in ("n", "n_groups")}
