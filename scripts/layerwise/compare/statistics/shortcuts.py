"""The best layer of each cell against what simple features reach on the same test items."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Task, read_predictions
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.layers import check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.errors import InputError
from layerwise.probes.shortcut_names import FEATURES, SCORE_COLUMNS

# By features the name of their columns; the text alone comes after them.
COLUMNS = dict(zip(FEATURES, ("words", "picture", "sum", "product"), strict=True))
TEXT = "text"
ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))
BEST = (("best", ""), ("best_low", "_low"), ("best_high", "_high"))


@dataclass(frozen=True)
class _Shortcut:
    """What a shortcut reaches, and where its predictions are.

    Attributes:
        column: its name among the columns.
        validation: its score on validation.
        test: its test score and the ends of the interval, by what they add to the column's name.
        predictions: their file.
        layer: in it.
    """

    column: str
    validation: float
    test: Mapping[str, float]
    predictions: Path
    layer: int


def read_shortcuts(path: Path) -> pd.DataFrame:
    """Read what simple features reach in all models and tasks.

    Raises:
        InputError: The file cannot be read as Parquet, or lacks a column.
    """
    try:
        return pd.read_parquet(path, columns=["model", "task", *SCORE_COLUMNS])
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as scores of shortcuts ({error}); delete it and run again") from error


def compare_with_shortcuts(
    best_layers: pd.DataFrame,
    scores: pd.DataFrame,
    shortcuts: pd.DataFrame,
    tasks: Mapping[str, Task],
    prompts: Mapping[str, Mapping[str, Sequence[str]]],
    predictions_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare, in every cell that has shortcuts, the layer chosen on validation with the shortcut chosen there.

    Args:
        best_layers: See :mod:`layerwise.compare.best_layers`.
        scores: All cells' tidy rows; they give validation scores of texts alone.
        shortcuts: See :func:`read_shortcuts`.
        tasks: Task descriptions.
        prompts: By task the prompts that are compared (``shown``), and those of the text alone (``text``).
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet and
            {model}/{task}/shortcuts-predictions.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value.
        seed: Seed; each row draws from its own stream.

    Returns:
        One row per cell, in the order of ``best_layers``; :mod:`layerwise.compare.shortcuts` lists the columns.

    Raises:
        InputError: There is nothing to compare, or the predictions do not give the scores or are of other items.
    """
    root = Path(predictions_root)
    of_text = _validation_of_texts(scores, tasks, prompts)
    found: dict[tuple[str, str], list[_Shortcut]] = {}
    rows = []
    for cell in best_layers.to_dict("records"):
        model, task, prompt = (cell[key] for key in CELL)
        reached = shortcuts[(shortcuts["model"] == model) & (shortcuts["task"] == task)]
        if reached.empty or prompt not in prompts.get(task, {}).get("shown", ()):
            continue
        if (model, task) not in found:
            folder = root / model / task
            features = _features(reached, tasks[task], folder)
            found[model, task] = features + _texts(best_layers, of_text, model, task, prompts[task]["text"], folder)
        draws = n_resamples, n_permutations, seed
        row = _row(cell, found[model, task], tasks[task], root / model / task, draws)
        rows.append(row | {"n_texts": int(reached.loc[reached["split"] == "test", "n_texts"].max())})
    if not rows:
        raise InputError("no model was asked a task's prompt with a picture and a text; set probes.shortcuts to false")
    return with_holm(pd.DataFrame(rows))


def _features(reached: pd.DataFrame, task: Task, folder: Path) -> list[_Shortcut]:
    """The shortcuts of one model and task that are simple features."""
    headline = reached[(reached["label"] == task.headline_label) & (reached["metric"] == task.metric)]
    found = []
    for place, name in enumerate(FEATURES):
        by_split = headline[headline["features"] == name].set_index("split")
        if by_split.empty:
            # The decoder has no tokens of the image.
            continue
        if not {"val", "test"} <= set(by_split.index):
            raise InputError(
                f"{folder / 'shortcuts.parquet'}: {name} has no {task.metric} on validation and test; delete the file "
                "and run again"
            )
        test = {suffix: float(by_split.loc["test", column]) for column, suffix in ENDS}
        value = float(by_split.loc["val", "value"])
        found.append(_Shortcut(COLUMNS[name], value, test, folder / "shortcuts-predictions.parquet", place))
    return found


def _validation_of_texts(
    scores: pd.DataFrame, tasks: Mapping[str, Task], prompts: Mapping[str, Mapping[str, Sequence[str]]]
) -> pd.Series:
    """The validation score of every layer of the prompts with the text alone, by model, task, prompt and layer."""
    asked = {name: task for name, task in tasks.items() if prompts.get(name, {}).get("text")}
    if not asked:
        return pd.Series(dtype=float)
    return headline_scores(scores, asked, "val").set_index([*CELL, "layer"])["value"]


def _texts(
    best_layers: pd.DataFrame, validation: pd.Series, model: str, task: str, prompts: Sequence[str], folder: Path
) -> list[_Shortcut]:
    """The text alone, in its best prompt and layer on validation; empty where the model was not asked."""
    of_task = best_layers[(best_layers["model"] == model) & (best_layers["task"] == task)]
    found = [
        _Shortcut(
            TEXT,
            float(validation.loc[model, task, cell["prompt"], cell["best_layer"]]),
            {suffix: float(cell[column]) for column, suffix in BEST},
            folder / f"{cell['prompt']}.predictions.parquet",
            int(cell["best_layer"]),
        )
        for cell in of_task[of_task["prompt"].isin(prompts)].to_dict("records")
    ]
    return _best(found)[:1]


def _best(found: Sequence[_Shortcut]) -> list[_Shortcut]:
    """The shortcuts from the best on validation down; equals stay in their order."""
    # Rounded, so that the last digit of a sum decides nothing.
    return sorted(found, key=lambda each: -round(each.validation, 9))


def _row(
    cell: Mapping[str, Any], found: Sequence[_Shortcut], task: Task, folder: Path, draws: tuple[int, int, int]
) -> dict[str, Any]:
    file, layer, chosen = folder / f"{cell['prompt']}.predictions.parquet", int(cell["best_layer"]), _best(found)[0]
    n_resamples, n_permutations, seed = draws
    stream = "\0".join([*(cell[key] for key in CELL), "shortcuts"])
    rng = np.random.default_rng([seed, *hashlib.sha256(stream.encode()).digest()])
    first = read_predictions(file, layer, "test")
    second = read_predictions(chosen.predictions, chosen.layer, "test")
    try:
        paired = paired_difference(first, second, task.metric, task.n_classes, n_resamples, n_permutations, rng)
    except InputError as error:
        raise InputError(f"{file} and {chosen.predictions}: {error}") from error
    check_same_run(file, layer, task.metric, paired.first, cell["best"])
    check_same_run(chosen.predictions, chosen.layer, task.metric, paired.second, chosen.test[""])
    kept = (*CELL, "metric", "label", "n_layers", "best_layer", "best", "best_low", "best_high")
    row: dict[str, Any] = {key: cell[key] for key in kept}
    by_column = {each.column: each for each in found}
    for column in (*COLUMNS.values(), TEXT):
        test = by_column[column].test if column in by_column else {}
        row |= {column + suffix: test.get(suffix, np.nan) for _, suffix in ENDS}
    text = by_column.get(TEXT)
    row["text_prompt"] = "" if text is None else text.predictions.name.removesuffix(".predictions.parquet")
    row["text_layer"] = -1 if text is None else text.layer
    row |= {"shortcut": chosen.column, "shortcut_value": chosen.test[""], "difference": paired.difference}
    row |= {"difference_low": paired.low, "difference_high": paired.high}
    row |= {"p_value": paired.p_value, "p_is_bound": paired.p_is_bound}
    return row | {key: cell[key] for key in ("chance", "n", "n_groups")}
