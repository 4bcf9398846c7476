"""Is some layer below the top better than the topmost block, and which layers are as good as the best?

In each cell (model, task, prompt) the best layer is chosen on the validation split. It is compared with the topmost
block, and with every other layer, on the test split, so that the choice does not favour it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Model, Task, read_predictions
from layerwise.compare.rows import headline_scores, majority_scores
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.paired import PairedDifference, less_worse_than, paired_difference, worse_than
from layerwise.compare.statistics.significance import LEVEL, with_holm
from layerwise.errors import InputError
from layerwise.probes.power import smallest_difference

# Columns of the scores, and what they add to a name in the table.
BOUNDED = (("value", ""), ("low", "_low"), ("high", "_high"))
# Rows of scores that not every study has.
SELECTIVITY, REDRAWN, REDRAWN_ABOVE_TOP = "selectivity", "redrawn", "redrawn_above_top"


def compare_layers(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    predictions_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
    margin: float = 0.01,
    draws: Mapping[str, str] = MappingProxyType({}),
) -> pd.DataFrame:
    """Compare, in every cell, the layer chosen on validation with the topmost block on the test split.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions; cells of other tasks are left out.
        models: Model descriptions; they give the order of the rows.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value, and for each set of layers.
        seed: Seed; each cell draws from its own stream, so that a new cell leaves the others as they were.
        margin: A difference that does not matter, in the metric's unit.
        draws: By the name of a draw of several with random weights that of their entry.

    Returns:
        One row per cell, by task and model in the order given; :mod:`layerwise.compare.best_layers` lists the columns.

    Raises:
        InputError: A cell has no score for its topmost block or no majority baseline, a model has no description, or
            the predictions do not give the scores.
    """
    validation, test = headline_scores(scores, tasks, "val"), headline_scores(scores, tasks, "test")
    chance = majority_scores(scores, tasks).set_index(CELL)["value"]
    unknown = sorted(set(test["model"]) - set(models))
    if unknown:
        raise InputError(f"no model.json describes {', '.join(unknown)}; give one for every model in the scores")
    of_validation = dict(list(validation.groupby(CELL)))
    resplits = scores[scores["probe"] == "resplit"]
    there = {SELECTIVITY, REDRAWN, REDRAWN_ABOVE_TOP} & set(scores["probe"])
    more = {probe: headline_scores(scores, tasks, "test", probe).set_index([*CELL, "layer"]) for probe in there}
    rows = []
    for cell, of_cell in test.groupby(CELL, sort=False):
        model, task, prompt = cell
        where = f"model {model!r}, task {task!r}, prompt {prompt!r}"
        if cell not in of_validation or cell not in chance.index:
            raise InputError(
                f"{where}: no validation scores or no majority baseline; run the probes of this cell again"
            )
        by_layer = of_cell.set_index("layer")
        best, top = choose_layer(of_validation[cell]), int(of_cell["n_layers"].iloc[0])
        if not {best, top} <= set(by_layer.index):
            raise InputError(f"{where}: no test score for layer {best} or {top}; run the probes of this cell again")
        path = Path(predictions_root) / model / task / f"{prompt}.predictions.parquet"
        rng = np.random.default_rng([seed, *hashlib.sha256("\0".join(cell).encode()).digest()])
        layers = [layer for layer in by_layer.index if layer <= top]
        paired = _compare(path, tasks[task], best, top, by_layer["value"], n_resamples, n_permutations, rng, margin)
        not_worse, within = _as_good(path, tasks[task], best, layers, margin, n_permutations, rng)
        described = {"model": model, "weights": models[model].weights, "draw_of": draws.get(model, "")}
        described |= {"task": task, "prompt": prompt}
        described |= {"metric": tasks[task].metric, "label": tasks[task].headline_label}
        described |= _row(by_layer, best, top, paired) | {"not_worse": " ".join(map(str, not_worse))}
        described |= {"margin": margin, "difference_upper": paired.high_90, "difference_lower": paired.low_90}
        described["equivalent"] = -margin < paired.low_90 and paired.high_90 < margin
        described["within_margin"] = " ".join(map(str, within))
        for column, suffix in BOUNDED:
            described[f"selectivity{suffix}"] = _found(more, SELECTIVITY, (*cell, best), column)
        redrawn = (("best", REDRAWN, best), ("top", REDRAWN, top), ("difference", REDRAWN_ABOVE_TOP, best))
        for name, probe, layer in redrawn:
            for column, suffix in BOUNDED[1:]:
                described[f"{name}_redrawn{suffix}"] = _found(more, probe, (*cell, layer), column)
        in_cell = (resplits[CELL] == list(cell)).all(axis=1) & (resplits["label"] == tasks[task].headline_label)
        described |= _over_splits(of_validation[cell], of_cell, resplits[in_cell])
        rows.append(described | {"chance": chance[cell]})
    table = with_smallest(with_holm(pd.DataFrame(rows)))
    place = {"task": list(tasks), "model": list(models)}
    return table.sort_values(
        ["task", "model"], key=lambda column: column.map(place[column.name].index), kind="stable", ignore_index=True
    )


def _found(tables: Mapping[str, pd.DataFrame], probe: str, row: tuple, column: str) -> float:
    """A number of a table that not every study has; NaN without it."""
    return float(tables[probe].loc[row, column]) if probe in tables else np.nan


def _row(by_layer: pd.DataFrame, best: int, top: int, paired: PairedDifference) -> dict[str, float]:
    row: dict[str, float] = {"n_layers": top, "best_layer": best, "top_layer": top}
    for name, layer in (("best", best), ("top", top), ("norm", top + 1)):
        for column, suffix in BOUNDED:
            row[name + suffix] = by_layer[column].get(layer, np.nan)
    row |= {"difference": paired.difference, "difference_low": paired.low, "difference_high": paired.high}
    row |= {"n": int(by_layer.loc[best, "n"]), "n_groups": int(by_layer.loc[best, "n_groups"])}
    row |= {"error": paired.error, "freedom": float(paired.freedom)}
    return row | {"p_value": paired.p_value, "p_is_bound": paired.p_is_bound}


def with_smallest(table: pd.DataFrame) -> pd.DataFrame:
    """The table with ``smallest`` and ``smallest_holm``, from ``error`` and ``freedom``.

    After Holm's correction a difference is found for sure if its p-value, times the number of tests, is within the
    level; it may be found with less, after others have been.
    """
    tests = max(1, int(table["p_value"].notna().sum()))
    for name, family in (("smallest", 1), ("smallest_holm", tests)):
        table[name] = [
            smallest_difference(error, freedom, family)
            for error, freedom in zip(table["error"], table["freedom"], strict=True)
        ]
    return table


def _compare(
    path: Path,
    task: Task,
    best: int,
    top: int,
    scores: pd.Series,
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
    margin: float,
) -> PairedDifference:
    if best == top:
        # Validation leaves nothing to test, so the row is not in the family.
        return PairedDifference(scores[best], scores[top], 0.0, 0.0, 0.0, np.nan)
    first, second = read_predictions(path, best, "test"), read_predictions(path, top, "test")
    try:
        paired = paired_difference(first, second, task.metric, task.n_classes, n_resamples, n_permutations, rng, margin)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    for layer, value in ((best, paired.first), (top, paired.second)):
        check_same_run(path, layer, task.metric, value, scores[layer])
    return paired


def check_same_run(path: Path, layer: int, metric: str, found: float, stated: float) -> None:
    """Raise InputError where the predictions of a layer give another value than the scores say."""
    if abs(found - stated) > 1e-4:
        raise InputError(
            f"{path}: the predictions of layer {layer} give {metric} {found:.4f}, the scores say {stated:.4f}; the two "
            "are from different runs: run the probes of this cell again"
        )


def _as_good(
    path: Path,
    task: Task,
    best: int,
    layers: list[int],
    margin: float,
    n_permutations: int,
    rng: np.random.Generator,
) -> tuple[list[int], list[int]]:
    """The layers that are not shown to be worse than the best, and those shown to be less than the margin worse.

    Both are empty where no test can be made.
    """
    others = [layer for layer in layers if layer != best]

    def predictions() -> Iterator[pd.DataFrame]:
        return (read_predictions(path, layer, "test") for layer in others)

    how = task.metric, task.n_classes
    seed = int(rng.integers(2**32))
    try:
        reference = read_predictions(path, best, "test")
        worse = worse_than(reference, predictions(), *how, n_permutations, seed)
        nearly = less_worse_than(reference, predictions(), *how, margin, n_permutations, seed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if np.isnan(worse).any():
        return [], []
    return (
        sorted([best, *(layer for layer, p in zip(others, worse, strict=True) if p > LEVEL)]),
        sorted([best, *(layer for layer, p in zip(others, nearly, strict=True) if p <= LEVEL)]),
    )


def _over_splits(validation: pd.DataFrame, test: pd.DataFrame, resplits: pd.DataFrame) -> dict[str, object]:
    """Best layer, its score and its difference from the topmost block under each split of a cell."""
    splits = [(validation, test)]
    if not resplits.empty:
        splits += [
            (of_seed[of_seed["split"] == "val"], of_seed[of_seed["split"] == "test"])
            for _, of_seed in resplits.groupby("split_seed")
        ]
    chosen = [choose_layer(of_validation) for of_validation, _ in splits]
    by_layer = [of_test.set_index("layer")["value"] for _, of_test in splits]
    best = np.array([values[layer] for values, layer in zip(by_layer, chosen, strict=True)])
    top = np.array([values[int(test["n_layers"].iloc[0])] for values in by_layer])
    row: dict[str, object] = {"n_splits": len(splits), "split_layers": " ".join(map(str, chosen))}
    for name, values in (("split_best", best), ("split_difference", best - top)):
        row |= {name: values.mean(), f"{name}_sd": values.std(ddof=1) if len(splits) > 1 else np.nan}
    return row
