"""The best layers of vision tower, projector and decoder against each other, on the same test items."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import Task, read_predictions
from layerwise.compare.statistics.layers import check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.compare.statistics.tower import (
    DECODER,
    IMAGE_MEAN,
    PROJECTOR,
    TOWER,
    Prompts,
    chance_of,
    readings,
)
from layerwise.errors import InputError

# What is a mean over all that stands for the picture.
MEANS = ("patch-mean", IMAGE_MEAN)
ENDS = ("value", "low", "high")


@dataclass(frozen=True)
class _Best:
    """The layer of a part that is best on validation.

    Attributes:
        part, pooling, prompt: of what.
        row: its test scores, ``layer_name``, and ``layer`` in the file of predictions.
        predictions: that file.
    """

    part: str
    pooling: str
    prompt: str
    row: Mapping[str, Any]
    predictions: Path


def compare_parts(
    tower: pd.DataFrame,
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    position: str,
    prompts: Prompts,
    predictions_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare, in every model and task, each later part with each earlier one.

    Args:
        tower, scores, tasks, position, prompts: See :func:`layerwise.compare.statistics.tower.along_model`.
        predictions_root: Folder with {model}/{task}/tower-predictions.parquet and {prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples for the intervals.
        n_permutations: Swaps drawn for each p-value.
        seed: Seed; each row draws from its own stream.

    Returns:
        One row per pair; :mod:`layerwise.compare.tower_differences` lists the columns.

    Raises:
        InputError: The predictions do not give the scores, or are of other items.
    """
    rows = []
    for task in tasks.values():
        for model in tower.loc[tower["task"] == task.task, "model"].unique():
            of_model = readings(tower, scores, task, model, position, prompts[model][task.task])
            folder = Path(predictions_root) / model / task.task
            best = list(_best(of_model[of_model["probe"] == "logistic"], folder))
            named = {"model": model, "task": task.task, "metric": task.metric, "label": task.headline_label}
            for first, second in _pairs(best):
                stream = "\0".join([model, task.task, *map(str, _key(first)), *map(str, _key(second)), "tower"])
                rng = np.random.default_rng([seed, *hashlib.sha256(stream.encode()).digest()])
                row = _row(first, second, task, n_resamples, n_permutations, rng)
                rows.append(named | row | {"chance": chance_of(tower, task, model), **_sizes(second)})
    if not rows:
        raise InputError("no task was probed in a vision tower; name tasks in tower.tasks, or leave tower out")
    return with_holm(pd.DataFrame(rows))


def _best(rows: pd.DataFrame, folder: Path) -> Iterator[_Best]:
    """The best layer of each part, pooling and prompt, in the order of the axis; of equals the lowest."""
    for (part, pooling, prompt), of_part in rows.groupby(["part", "pooling", "prompt"], sort=False):
        if part == TOWER and pooling not in MEANS:
            continue
        validation = of_part[of_part["split"] == "val"].sort_values("depth")
        # Rounded, so that a difference in the last digit of a sum does not decide between equals.
        depth = int(validation.loc[validation["value"].round(9).idxmax(), "depth"])
        test = of_part[(of_part["split"] == "test") & (of_part["depth"] == depth)].iloc[0]
        file = f"{prompt}.predictions.parquet" if prompt else "tower-predictions.parquet"
        yield _Best(part, pooling, prompt, test.to_dict(), folder / file)


def _pairs(best: list[_Best]) -> Iterator[tuple[_Best, _Best]]:
    order = (TOWER, PROJECTOR, DECODER)
    for second in best:
        for first in best:
            if order.index(first.part) < order.index(second.part):
                yield first, second


def _key(best: _Best) -> tuple[str, str, str]:
    return best.part, best.pooling, best.prompt


def _row(
    first: _Best, second: _Best, task: Task, n_resamples: int, n_permutations: int, rng: np.random.Generator
) -> dict[str, Any]:
    later, earlier = (read_predictions(each.predictions, int(each.row["layer"]), "test") for each in (second, first))
    try:
        paired = paired_difference(later, earlier, task.metric, task.n_classes, n_resamples, n_permutations, rng)
    except InputError as error:
        raise InputError(f"{second.predictions} and {first.predictions}: {error}") from error
    for each, value in ((second, paired.first), (first, paired.second)):
        check_same_run(each.predictions, int(each.row["layer"]), task.metric, value, each.row["value"])
    row: dict[str, Any] = {}
    for name, each in (("first", first), ("second", second)):
        row |= {name: each.part, f"{name}_layer": each.row["layer_name"]}
        row |= {f"{name}_{end}": float(each.row[end]) for end in ENDS}
    row |= {"pooling": second.pooling, "prompt": second.prompt, "same_pooling": second.pooling in MEANS}
    row |= {"difference": paired.difference, "difference_low": paired.low, "difference_high": paired.high}
    return row | {"p_value": paired.p_value, "p_is_bound": paired.p_is_bound}


def _sizes(best: _Best) -> dict[str, int]:
    return {key: int(best.row[key]) for key in ("n", "n_groups")}
