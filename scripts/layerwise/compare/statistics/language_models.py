"""What multimodal training changed in the text alone: a model against its language model, best and topmost layers."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Model, Task, read_predictions
from layerwise.compare.statistics.layers import check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.errors import InputError

# What is compared, by the names of its columns in the table of best layers.
COMPARED = {"best": "best layer", "top": "topmost block"}


def compare_with_language_models(
    best_layers: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    made_from: Mapping[str, str],
    predictions_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare models with the language models that they were made from, in all cells that both have.

    Each model's best layer was chosen by its own scores on the validation items, which favours neither on the test.

    Args:
        best_layers: See :mod:`layerwise.compare.best_layers`.
        tasks: Task descriptions.
        models: Model descriptions.
        made_from: By multimodal model the name of the language model that it was made from.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value.
        seed: Seed; each row draws from its own stream.

    Returns:
        Two rows per cell, in the order of ``best_layers``; :mod:`layerwise.compare.language_models` lists the columns.

    Raises:
        InputError: Two models differ in depth or width, there is nothing to compare, or the predictions do not give the
            scores or are of other items.
    """
    _check_alike(models, made_from)
    cells = {tuple(row[key] for key in CELL): row for row in best_layers.to_dict("records")}
    rows = []
    for cell, ours in cells.items():
        base = made_from.get(cell[0])
        theirs = cells.get((base, *cell[1:]))
        if base is None or theirs is None:
            continue
        for name, at in COMPARED.items():
            task, draws = tasks[ours["task"]], (n_resamples, n_permutations, seed)
            rows.append(_row(ours, theirs, name, at, task, Path(predictions_root), draws))
    if not rows:
        raise InputError("no task was asked of a model and of the language model that it was made from in one prompt")
    return with_holm(pd.DataFrame(rows))


def _row(
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
    name: str,
    at: str,
    task: Task,
    predictions_root: Path,
    draws: tuple[int, int, int],
) -> dict[str, Any]:
    layers = int(ours[f"{name}_layer"]), int(theirs[f"{name}_layer"])
    paths = [
        predictions_root / row["model"] / row["task"] / f"{row['prompt']}.predictions.parquet" for row in (ours, theirs)
    ]
    first, second = (read_predictions(path, layer, "test") for path, layer in zip(paths, layers, strict=True))
    n_resamples, n_permutations, seed = draws
    stream = "\0".join([ours["model"], ours["task"], ours["prompt"], at])
    rng = np.random.default_rng([seed, *hashlib.sha256(stream.encode()).digest()])
    try:
        found = paired_difference(first, second, task.metric, task.n_classes, n_resamples, n_permutations, rng)
    except InputError as error:
        raise InputError(f"{paths[0]} and {paths[1]}: {error}") from error
    for path, layer, value, row in zip(paths, layers, (found.first, found.second), (ours, theirs), strict=True):
        check_same_run(path, layer, task.metric, value, row[name])
    described = {key: ours[key] for key in ("model", "task", "prompt", "metric", "label", "n_layers")}
    described |= {"base": theirs["model"], "at": at, "layer": layers[0], "base_layer": layers[1]}
    for side, row in (("score", ours), ("base_score", theirs)):
        described |= {f"{side}{end}": row[f"{name}{end}"] for end in ("", "_low", "_high")}
    described |= {"difference": found.difference, "difference_low": found.low, "difference_high": found.high}
    described |= {"p_value": found.p_value, "p_is_bound": found.p_is_bound}
    return described | {"n": ours["n"], "n_groups": ours["n_groups"]}


def _check_alike(models: Mapping[str, Model], made_from: Mapping[str, str]) -> None:
    """Layers correspond only where a model kept the decoder that it was made from."""
    for name, base in made_from.items():
        ours, theirs = models[name], models[base]
        if (ours.n_layers, ours.width) != (theirs.n_layers, theirs.width):
            raise InputError(
                f"models.{name}.made_from: {name} has {ours.n_layers} blocks of width {ours.width}, and {base} has "
                f"{theirs.n_layers} of width {theirs.width}, so that their layers do not correspond; name the language "
                "model that it was made from, or leave the key out"
            )
