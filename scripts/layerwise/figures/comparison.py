"""Table 2: is some layer below the top better than the topmost block, and which layers are as good as the best?

Per cell (model, task, prompt) the best layer is chosen on the validation split and compared with the topmost block, and
with every other layer, on the test split, so that the choice does not favour it.
"""

import hashlib
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd

from layerwise.errors import InputError
from layerwise.figures.headline import HOLDS_FOR, METRIC_NAMES, headline_scores, majority_scores
from layerwise.figures.inputs import Model, Task, read_predictions
from layerwise.figures.paired import PairedDifference, paired_difference, worse_than
from layerwise.figures.significance import HOW_TESTED, LEVEL, TOO_FEW, p_in_words, with_holm
from layerwise.figures.tables import Section, number, with_interval

CELL = ["model", "task", "prompt"]


def choose_layer(validation: pd.DataFrame) -> int:
    """The layer with the highest validation value among the embeddings and the blocks; the lowest of equals.

    The final norm's output is no candidate: it is the topmost block's output seen through a fixed rescaling.

    Args:
        validation: One cell's headline rows on the validation split, columns layer, n_layers, value.

    Raises:
        InputError: No candidate has a value.
    """
    candidates = validation[validation["layer"].between(0, validation["n_layers"])].dropna(subset="value")
    if candidates.empty:
        raise InputError("no layer has a validation score to choose by; run the probes of this cell again")
    # Rounded, so that a difference in the last digit of a sum does not decide between equals.
    best = candidates["value"].round(9).max()
    return int(candidates.loc[candidates["value"].round(9) == best, "layer"].min())


def compare_layers(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    predictions_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare, in every cell, the layer chosen on validation with the topmost block on the test split.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.figures.inputs.read_scores`.
        tasks: Task descriptions; cells of other tasks are left out.
        models: Model descriptions; they give the order of the rows.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value, and for each set of layers.
        seed: Seed; each cell draws from its own stream, so that a new cell leaves the others as they were.

    Returns:
        One row per cell: model, weights, task, prompt, metric, label, n_layers, best_layer, top_layer; best, top, norm,
        each with _low and _high (95 %); difference (best - top) with _low and _high; p_value, NaN where the best layer
        is the topmost or there are too few images or shared texts for a test; p_is_bound, whether p is that value or
        less; p_holm and p_holm_is_bound, the same adjusted over all cells by Holm's method; not_worse, the layers that
        are not worse than the best at the level of 5 % over all layers of the cell, separated by spaces, empty where
        there are too few images or shared texts to tell; selectivity of the best layer with _low and _high (NaN without
        controls); chance (the majority baseline); n items and n_groups. Over the task's splits, each with its own
        choice of the layer: n_splits, split_layers (the best layers), and the mean and standard deviation of the best
        layer's score and of its difference from the topmost block, split_best, split_difference, each with _sd.

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
    controlled = "selectivity" in set(scores["probe"])
    selectivity = (
        headline_scores(scores, tasks, "test", probe="selectivity").set_index([*CELL, "layer"]) if controlled else None
    )
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
        paired = _compare(path, tasks[task], best, top, by_layer["value"], n_resamples, n_permutations, rng)
        not_worse = _not_worse(path, tasks[task], best, layers, n_permutations, rng)
        described = {"model": model, "weights": models[model].weights, "task": task, "prompt": prompt}
        described |= {"metric": tasks[task].metric, "label": tasks[task].headline_label}
        above = selectivity.loc[(*cell, best)] if controlled else dict.fromkeys(("value", "low", "high"), np.nan)
        described |= _row(by_layer, best, top, paired) | {"not_worse": " ".join(map(str, not_worse))}
        described |= {"selectivity": above["value"], "selectivity_low": above["low"], "selectivity_high": above["high"]}
        in_cell = (resplits[CELL] == list(cell)).all(axis=1) & (resplits["label"] == tasks[task].headline_label)
        described |= _over_splits(of_validation[cell], of_cell, resplits[in_cell])
        rows.append(described | {"chance": chance[cell]})
    table = with_holm(pd.DataFrame(rows))
    place = {"task": list(tasks), "model": list(models)}
    return table.sort_values(
        ["task", "model"], key=lambda column: column.map(place[column.name].index), kind="stable", ignore_index=True
    )


def _row(by_layer: pd.DataFrame, best: int, top: int, paired: PairedDifference) -> dict[str, float]:
    row = {"n_layers": top, "best_layer": best, "top_layer": top}
    for name, layer in (("best", best), ("top", top), ("norm", top + 1)):
        for column, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
            row[name + suffix] = by_layer[column].get(layer, np.nan)
    row |= {"difference": paired.difference, "difference_low": paired.low, "difference_high": paired.high}
    row |= {"n": int(by_layer.loc[best, "n"]), "n_groups": int(by_layer.loc[best, "n_groups"])}
    return row | {"p_value": paired.p_value, "p_is_bound": paired.p_is_bound}


def _compare(
    path: Path,
    task: Task,
    best: int,
    top: int,
    scores: pd.Series,
    n_resamples: int,
    n_permutations: int,
    rng: np.random.Generator,
) -> PairedDifference:
    if best == top:
        # Validation has decided that there is nothing to test, so that the row is no part of the family.
        return PairedDifference(scores[best], scores[top], 0.0, 0.0, 0.0, np.nan)
    first, second = read_predictions(path, best, "test"), read_predictions(path, top, "test")
    try:
        paired = paired_difference(first, second, task.metric, task.n_classes, n_resamples, n_permutations, rng)
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


def _not_worse(
    path: Path, task: Task, best: int, layers: list[int], n_permutations: int, rng: np.random.Generator
) -> list[int]:
    """The layers that the test items do not show to be worse than the best; none where they cannot show it."""
    others = [layer for layer in layers if layer != best]
    frames = (read_predictions(path, layer, "test") for layer in others)
    seed = int(rng.integers(2**32))
    try:
        reference = read_predictions(path, best, "test")
        p_values = worse_than(reference, frames, task.metric, task.n_classes, n_permutations, seed)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if np.isnan(p_values).any():
        return []
    return sorted([best, *(layer for layer, p in zip(others, p_values, strict=True) if p > LEVEL)])


def _over_splits(validation: pd.DataFrame, test: pd.DataFrame, resplits: pd.DataFrame) -> dict[str, object]:
    """Best layer, its score and its difference from the topmost block under each split of a cell."""
    splits = [(validation, test)]
    if not resplits.empty:
        splits += [
            tuple(of_seed[of_seed["split"] == s] for s in ("val", "test"))
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


def comparison_sections(table: pd.DataFrame) -> list[Section]:
    """The rows of :func:`compare_layers` for reading, a section per task: scores times 100, intervals in brackets."""
    note = (
        f"Test scores × 100 with 95 % intervals over images. {HOLDS_FOR} The best layer is chosen on the validation "
        f"split (embeddings = 0; the lowest of equals). {HOW_TESTED} A dash: the best layer is the topmost, or there "
        f"are {TOO_FEW}. As good: layers that are not worse than the best one at the level of 5 %, corrected over the "
        "row's layers. Selectivity: the best layer's score less that of random labels."
    )
    if table["n_splits"].max() > 1:
        note += " Over splits: mean ± standard deviation over random splits (how many), each with its own best layer."
    sections = []
    for task, rows in table.groupby("task", sort=False):
        shown = pd.DataFrame(
            {
                "Model": rows["model"],
                "Prompt": rows["prompt"],
                "Best layer": [
                    f"{best} / {top}" for best, top in zip(rows["best_layer"], rows["top_layer"], strict=True)
                ],
                "Best": with_interval(rows, "best"),
                "Top block": with_interval(rows, "top"),
                "Best − top": with_interval(rows, "difference", sign="+"),
                "p (Holm)": list(map(p_in_words, rows["p_holm"], rows["p_holm_is_bound"])),
                "As good": [_ranges(layers) or "–" for layers in rows["not_worse"]],
                "Selectivity": [number(100 * value, ".1f") for value in rows["selectivity"]],
                "Final norm": [number(100 * value, ".1f") for value in rows["norm"]],
                "Majority": [number(100 * value, ".1f") for value in rows["chance"]],
            }
        )
        if rows["n_splits"].max() > 1:
            shown["Best − top, over splits"] = [
                "–"
                if row.n_splits == 1
                else f"{number(100 * row.split_difference, '+.1f')} ± "
                f"{number(100 * row.split_difference_sd, '.1f')} ({row.n_splits})"
                for row in rows.itertuples()
            ]
        names = (("Model", 0.12), ("Prompt", 0.11))
        title = f"{task}: {METRIC_NAMES.get(rows['metric'].iloc[0], rows['metric'].iloc[0])}"
        sections.append(Section(title, shown, note, tuple(shown.columns[2:]), names, row_names=2))
    return sections


def _ranges(layers: str) -> str:
    """Layers for reading: "0 2 3 4" as "0, 2–4"."""
    numbers = [int(layer) for layer in layers.split()]
    # Consecutive numbers differ from their place by the same.
    runs = [[layer for _, layer in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)
