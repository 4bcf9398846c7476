"""How far each layer is above the same layer of the untrained twin, or of the mean of several draws."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Task, read_predictions
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.draws import merge_draws
from layerwise.compare.statistics.layers import check_same_run
from layerwise.compare.statistics.paired import paired_effect
from layerwise.errors import InputError

Cell = tuple[str, str, str]


def differences_to_twins(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    twins: Mapping[str, Sequence[str]],
    predictions_root: str | Path,
    n_resamples: int,
    seed: int,
) -> Iterator[dict[str, Any]]:
    """Subtract the twin's test score from the model's in every layer, on the same test items.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions.
        twins: By model the names of its untrained twins, several if there are several draws.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples for each interval.
        seed: Seed; each pair of cells draws from its own stream.

    Yields:
        A row per layer of every cell whose twin has it too, in the order of the scores;
        :mod:`layerwise.compare.twin_differences` lists the columns.

    Raises:
        InputError: The predictions do not give the scores, or are of other items.
    """
    test = {
        cell: rows.set_index("layer") for cell, rows in headline_scores(scores, tasks, "test").groupby(CELL, sort=False)
    }
    for cell, rows in test.items():
        of_twins = [(twin, *cell[1:]) for twin in twins.get(cell[0], ()) if (twin, *cell[1:]) in test]
        if not of_twins:
            continue
        task = tasks[cell[1]]
        parts = []
        for twin in of_twins:
            stream = "\0".join(["twin-differences", *cell, twin[0]])
            rng = np.random.default_rng([seed, *hashlib.sha256(stream.encode()).digest()])
            for layer in sorted(set(rows.index) & set(test[twin].index)):
                sides = [(cell, rows.loc[layer, "value"]), (twin, test[twin].loc[layer, "value"])]
                found = _difference(sides, layer, task, Path(predictions_root), n_resamples, rng)
                counted = rows.loc[layer, ["n_layers", "n", "n_groups"]].to_dict()
                parts.append({"model": twin[0], "layer": layer} | counted | found)
        merged = merge_draws(pd.DataFrame(parts), {twin: cell[0] for twin, *_ in of_twins})
        described = dict(zip(CELL, cell, strict=True)) | {"metric": task.metric, "label": task.headline_label}
        for row in merged.rename(columns={"draws": "twins"}).to_dict("records"):
            bounds = {"difference": row["value"], "difference_low": row["low"], "difference_high": row["high"]}
            yield row | described | bounds


def _difference(
    sides: Sequence[tuple[Cell, float]],
    layer: int,
    task: Task,
    predictions_root: Path,
    n_resamples: int,
    rng: np.random.Generator,
) -> dict[str, float]:
    """The first cell's score in a layer less the second's; each comes with the value that the scores state."""
    paths = [predictions_root / model / name / f"{prompt}.predictions.parquet" for (model, name, prompt), _ in sides]
    first, second = (read_predictions(path, layer, "test") for path in paths)
    try:
        found = paired_effect(first, second, task.metric, task.n_classes, n_resamples, rng)
    except InputError as error:
        raise InputError(f"{paths[0]} and {paths[1]}: {error}") from error
    for path, value, (_, stated) in zip(paths, (found.first, found.second), sides, strict=True):
        check_same_run(path, layer, task.metric, value, stated)
    return {"value": found.first - found.second, "low": found.low, "high": found.high}
