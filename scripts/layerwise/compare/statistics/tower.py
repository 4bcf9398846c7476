"""Headline scores of vision tower, projector and decoder on one axis."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.compare.inputs import Task
from layerwise.compare.rows import headline_scores
from layerwise.errors import InputError

TOWER, PROJECTOR, DECODER = "tower", "projector", "decoder"
IMAGE_MEAN = "image-mean"
COLUMNS = ["model", "task", "part", "pooling", "depth", "layer", "layer_name", "probe", "label", "split", "metric"]
COLUMNS += ["value", "low", "high", "n", "n_groups"]
# By model and task the prompts whose decoder is compared.
Prompts = Mapping[str, Mapping[str, Sequence[str]]]


def read_tower(path: Path) -> pd.DataFrame:
    """Read the scores in the towers of all models and tasks.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    try:
        return pd.read_parquet(path, columns=COLUMNS)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as scores of a tower ({error}); delete it and run again") from error


def along_model(
    tower: pd.DataFrame, scores: pd.DataFrame, tasks: Mapping[str, Task], position: str, prompts: Prompts
) -> pd.DataFrame:
    """The headline test scores of every layer that is read, task by task and model by model.

    Args:
        tower: See :func:`read_tower`.
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions; they give the order.
        position: The one that the scores are of.
        prompts: By model and task those whose decoder is compared.

    Returns:
        A row per layer and pooling; :mod:`layerwise.compare.tower` lists the columns.
    """
    parts = []
    for task in tasks.values():
        for model in tower.loc[tower["task"] == task.task, "model"].unique():
            of_model = readings(tower, scores, task, model, position, prompts[model][task.task])
            test = of_model[of_model["split"] == "test"]
            shown = test[test["probe"] == "logistic"]
            keys = ["part", "pooling", "prompt", "depth"]
            selectivity = test[test["probe"] == "selectivity"].set_index(keys)
            for column, name in (("value", "selectivity"), ("low", "selectivity_low"), ("high", "selectivity_high")):
                found = shown.join(selectivity[column].rename(name), on=keys)[name]
                shown = shown.assign(**{name: found if len(selectivity) else np.nan})
            n_tower = int(shown.loc[shown["part"] == TOWER, "depth"].max())
            of_decoder = shown["part"] == DECODER
            place = shown["depth"].where(~of_decoder, shown["depth"] + n_tower + 1)
            n_layers = int(shown.loc[of_decoder, "depth"].max()) if of_decoder.any() else -1
            parts.append(
                shown.assign(place=place, n_tower=n_tower, n_layers=n_layers, majority=chance_of(tower, task, model))
            )
    if not parts:
        raise InputError("no task was probed in a vision tower; name tasks in tower.tasks, or leave tower out")
    return pd.concat(parts, ignore_index=True)


def readings(
    tower: pd.DataFrame, scores: pd.DataFrame, task: Task, model: str, position: str, prompts: Sequence[str]
) -> pd.DataFrame:
    """The headline rows of one model and task: of the tower's file, and those of the decoder's blocks by prompt.

    Returns:
        Rows of the probes logistic and selectivity on validation and test: ``part``, ``pooling``, ``prompt``,
        ``depth``, ``layer`` (in the file of predictions), ``layer_name``, and the columns of scores.
    """
    headline = (tower["label"] == task.headline_label) & (tower["metric"] == task.metric)
    own = tower[headline & (tower["model"] == model) & (tower["task"] == task.task) & (tower["depth"] >= 0)]
    found = [own.assign(prompt="")]
    for probe in ("logistic", "selectivity"):
        if probe not in set(scores["probe"]):
            continue
        for split in ("val", "test"):
            rows = headline_scores(scores, {task.task: task}, split, probe)
            # The embedding of the last token has not seen the picture; the final norm rescales the last block.
            rows = rows[(rows["model"] == model) & rows["prompt"].isin(prompts) & (rows["layer"] > 0)]
            rows = rows[rows["layer"] <= rows["n_layers"]]
            found.append(rows.assign(part=DECODER, pooling=position, depth=rows["layer"]))
    joined = pd.concat(found, ignore_index=True)
    joined = joined[joined["probe"].isin(["logistic", "selectivity"])]
    # A study may probe the mean over the image's tokens in all its figures: then it is not fitted once more.
    twice = (joined["prompt"] == "") & (joined["part"] == DECODER) & (position == IMAGE_MEAN)
    return joined[~twice].reset_index(drop=True)


def chance_of(tower: pd.DataFrame, task: Task, model: str) -> float:
    """The test score of always answering the most frequent class."""
    rows = tower[(tower["model"] == model) & (tower["task"] == task.task) & (tower["probe"] == "majority")]
    rows = rows[(rows["split"] == "test") & (rows["label"] == task.headline_label) & (rows["metric"] == task.metric)]
    if rows.empty:
        raise InputError(f"model {model!r}, task {task.task!r}: the tower's scores have no majority; run them again")
    return float(rows["value"].iloc[0])
