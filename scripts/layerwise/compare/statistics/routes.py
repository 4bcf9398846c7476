"""Whether a trained route brings more than a probe of the top that has as many parameters."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Model, Task, read_predictions
from layerwise.compare.intervened import base_of
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.answered import answered_cells
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.layers import check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.errors import InputError
from layerwise.used.routes.files import control_cell, read_control_about

# The two that each question compares, by the names that they have below.
QUESTIONS = {
    "answers": ("said with", "said without"),
    "top": ("top with", "top without"),
    "below": ("top with", "best below"),
    "control": ("said with", "control"),
    "trained probe": ("control", "top without"),
}


def compare_routes(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    predictions_root: Path,
    answers_root: Path,
    controls: Sequence[Path],
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare every model that runs with a trained route with the same model without it, and with the route's control.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions.
        models: Model descriptions.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        answers_root: Folder with {model}/{stimuli}/{prompt}.parquet.
        controls: Files {model}/{task}/{prompt}/{route}.control.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value.
        seed: Seed; each row draws from its own stream.

    Returns:
        Five rows per model; :mod:`layerwise.compare.routes` lists the columns.

    Raises:
        InputError: No model runs with one of the routes, a cell has no scores, or the predictions do not give them.
    """
    by_split = {split: headline_scores(scores, tasks, split) for split in ("val", "test")}
    known = {split: set(table[CELL].itertuples(index=False, name=None)) for split, table in by_split.items()}
    rows = []
    for control in controls:
        base, task, prompt, route = control_cell(control)
        about = read_control_about(control)
        described = {"route": route, "kind": about["kind"], "from": about["cell"]["route"].get("from", 0)}
        described |= {"parameters": about["parameters"], "control_parameters": about["control"]["parameters"]}
        for name, model in models.items():
            if model.intervention != {"route": {"name": route}} or base_of(model, models) != base:
                continue
            cells = {"with": (name, task, prompt), "without": (base, task, prompt)}
            for cell in cells.values():
                if cell not in known["val"] & known["test"]:
                    raise InputError(
                        f"{'/'.join(cell)}: the scores have no row of it; run the probes of this cell again"
                    )
            validation = by_split["val"][(by_split["val"][CELL] == list(cells["without"])).all(axis=1)]
            best = choose_layer(validation[validation["layer"] < model.n_layers])
            found = _predicted(
                cells, tasks[task], model.n_layers, best, by_split["test"], predictions_root, answers_root, control
            )
            row = {"model": name, "base": base, **described, "task": task, "prompt": prompt}
            row |= {"metric": tasks[task].metric, "n_layers": model.n_layers, "best_layer": best}
            rows += [
                {**row, "question": question, **_compared(found[first], found[second], tasks[task], how, stream)}
                for question, (first, second) in QUESTIONS.items()
                for how, stream in [((n_resamples, n_permutations), [seed, *_digits(name, question)])]
            ]
    if not rows:
        raise InputError(
            "no model runs with a trained route; give an entry of `models` the intervention `route: {name: NAME}`, or "
            "leave `used.routes` out"
        )
    return with_holm(pd.DataFrame(rows))


def _digits(*names: str) -> bytes:
    return hashlib.sha256("\0".join(names).encode()).digest()


def _compared(
    first: "_Predicted", second: "_Predicted", task: Task, how: tuple[int, int], stream: list[int]
) -> dict[str, Any]:
    """Two sets of predictions of the same items: the columns that say how they differ."""
    metric = task.metric
    try:
        found = paired_difference(first.rows, second.rows, metric, task.n_classes, *how, np.random.default_rng(stream))
    except InputError as error:
        raise InputError(f"{first.path} and {second.path}: {error}") from error
    for side, value in ((first, found.first), (second, found.second)):
        if side.stated is not None:
            check_same_run(side.path, side.layer, metric, value, side.stated)
    return {
        "first": found.first,
        "second": found.second,
        "difference": found.difference,
        "difference_low": found.low,
        "difference_high": found.high,
        "p_value": found.p_value,
        "p_is_bound": found.p_is_bound,
        "n": len(first.rows),
        "n_groups": first.rows["group"].nunique(),
    }


@dataclass(frozen=True)
class _Predicted:
    """What a probe or a model says of the test items, and the score that it must give; None where none is stated."""

    rows: pd.DataFrame
    path: Path
    layer: int
    stated: float | None = None


def _predicted(
    cells: Mapping[str, tuple[str, str, str]],
    task: Task,
    top: int,
    best_below: int,
    scores: pd.DataFrame,
    predictions: Path,
    answers: Path,
    control: Path,
) -> dict[str, _Predicted]:
    """All that is compared, by the names of :data:`QUESTIONS`. Cells are those with and without the route."""
    stated = scores.set_index([*CELL, "layer"])["value"]

    def probe(side: str, layer: int) -> _Predicted:
        model, name, prompt = cell = cells[side]
        path = predictions / model / name / f"{prompt}.predictions.parquet"
        return _Predicted(read_predictions(path, layer, "test"), path, layer, float(stated[(*cell, layer)]))

    def said(side: str) -> _Predicted:
        (answered,) = answered_cells(["/".join(cells[side])], {task.task: task}, predictions, answers)
        rows = answered.predictions(answered.margins(answered.top), "test")
        return _Predicted(rows, answered.cell.answers or answers, answered.top)

    found = {"best below": probe("without", best_below)}
    found["control"] = _Predicted(read_predictions(control, top, "test"), control, top)
    for side in cells:
        found |= {f"said {side}": said(side), f"top {side}": probe(side, top)}
    return found
