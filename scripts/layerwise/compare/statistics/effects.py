"""What an intervention does to the topmost block, on the same test items as the model without it."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Model, Task, read_predictions
from layerwise.compare.intervened import base_of, in_words
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.layers import BOUNDED, check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.errors import InputError


def compare_interventions(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    predictions_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare the topmost block of every model with an intervention with that of the same model without it.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions.
        models: Model descriptions.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value.
        seed: Seed; each cell draws from its own stream.

    Returns:
        One row per cell of a changed model whose base model has it too; :mod:`layerwise.compare.interventions` lists
        the columns.

    Raises:
        InputError: A base model is not among the models, there is nothing to compare, or the predictions do not give
            the scores or are of other items.
    """
    test = headline_scores(scores, tasks, "test")
    top = test[test["layer"] == test["n_layers"]].set_index(CELL)
    rows = []
    for name, model in models.items():
        if model.intervention is None:
            continue
        base = base_of(model, models)
        for task, prompt in top.loc[[name]].index.droplevel("model") if name in top.index else ():
            if (base, task, prompt) not in top.index:
                continue
            cells = {"changed": (name, task, prompt), "as_it_is": (base, task, prompt)}
            row = {"model": name, "base": base, "intervention": in_words(model.intervention), "task": task}
            row |= {"prompt": prompt, "metric": tasks[task].metric}
            for side, cell in cells.items():
                for column, suffix in BOUNDED:
                    row[side + suffix] = top.loc[cell, column]
            paths = [Path(predictions_root) / of / task / f"{prompt}.predictions.parquet" for of in (name, base)]
            changed, as_it_is = (read_predictions(path, model.n_layers, "test") for path in paths)
            rng = np.random.default_rng([seed, *hashlib.sha256("\0".join(cells["changed"]).encode()).digest()])
            try:
                found = paired_difference(
                    *(changed, as_it_is, tasks[task].metric, tasks[task].n_classes, n_resamples, n_permutations, rng)
                )
            except InputError as error:
                raise InputError(f"{paths[0]} and {paths[1]}: {error}") from error
            for path, value, side in zip(paths, (found.first, found.second), cells, strict=True):
                check_same_run(path, model.n_layers, tasks[task].metric, value, row[side])
            row |= {"difference": found.difference, "difference_low": found.low, "difference_high": found.high}
            row |= {"p_value": found.p_value, "p_is_bound": found.p_is_bound}
            rows.append(row | {"n_groups": top.loc[cells["changed"], "n_groups"]})
    if not rows:
        raise InputError("no task was asked of a model with an intervention and of the same model without it")
    table = with_holm(pd.DataFrame(rows))
    return table.sort_values("task", key=lambda column: column.map(list(tasks).index), kind="stable", ignore_index=True)
