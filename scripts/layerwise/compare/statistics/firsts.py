"""Which layer knows it: the first one above chance, above an untrained twin, and above the text alone.

Every layer of a cell is compared on the test items with the majority baseline, with the same layer of its untrained
twin (with the mean over draws, if there are several), and with the same layer of the same model that read the same
words without the image. All tests of a cell are one family: in at most 5 % of cells is any layer wrongly called above
anything (:func:`layerwise.compare.statistics.paired.better_than`).
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Model, Task, read_predictions
from layerwise.compare.rows import headline_scores
from layerwise.compare.statistics.layers import BOUNDED
from layerwise.compare.statistics.paired import better_than
from layerwise.compare.statistics.significance import LEVEL
from layerwise.errors import InputError
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import constant_margins

# What layers are compared with, by the ending of their columns.
REFERENCES = ("chance", "twin", "text")
# What a row may lack.
NO_TWIN, TWIN_NOT_ASKED = "no twin", "twin not asked"
NO_TEXT_ONLY, TOO_FEW = "no text-only prompt", "too few images"


def first_of(above: Collection[int], best: int) -> int | None:
    """The layer from which on it is known: where an unbroken run of layers begins that are above something.

    The run ends at the best layer or, if that is not above, at the highest layer that is. So a single layer that is
    above by chance, far below the others, is not the first.

    Args:
        above: the layers that are above.
        best: the layer chosen on validation.
    """
    if not above:
        return None
    first = best if best in above else max(above)
    while first - 1 in above:
        first -= 1
    return first


def first_layers(
    scores: pd.DataFrame,
    best_layers: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    prompts: Sequence[Mapping[str, str]],
    twins: Mapping[str, Sequence[str]],
    predictions_root: str | Path,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Find the first layers of every cell of a trained model.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        best_layers: See :mod:`layerwise.compare.best_layers`.
        tasks: Task descriptions.
        models: Model descriptions.
        prompts: The grid's prompts, see :func:`layerwise.compare.inputs.read_prompts`.
        twins: By model the names of its untrained twins, several if there are several draws.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_permutations: Swaps drawn for each cell.
        seed: Seed; each cell draws from its own stream.

    Returns:
        A row per cell, in the order of ``best_layers``; :mod:`layerwise.compare.which_layer` lists the columns.

    Raises:
        InputError: The predictions of a cell do not fit its scores, or those that it is compared with.
    """
    test = {cell: rows.set_index("layer") for cell, rows in headline_scores(scores, tasks, "test").groupby(CELL)}
    own_twins = {twin for of_model in twins.values() for twin in of_model}
    rows = []
    for row in best_layers[~best_layers["model"].isin(own_twins)].to_dict("records"):
        cell = row["model"], row["task"], row["prompt"]
        task = tasks[row["task"]]
        of_twins = [(twin, *cell[1:]) for twin in twins.get(cell[0], ()) if (twin, *cell[1:]) in test]
        text_only = text_only_twin(cell, task, prompts, test)
        references: dict[str, list[tuple[str, str, str]]] = {"twin": of_twins, "text": [text_only] if text_only else []}
        layers = list(range(row["n_layers"] + 1))
        predictions = Path(predictions_root)
        chance = _majority_classes(scores, task, cell, predictions)
        asked = ["chance", *(name for name, cells in references.items() if cells)]
        pairs = _pairs(cell, layers, chance, {name: references[name] for name in asked[1:]}, predictions, task)
        cell_seed = int.from_bytes(hashlib.sha256("\0".join([str(seed), *cell]).encode()).digest()[:4], "little")
        try:
            p_values = better_than(pairs, task.metric, task.n_classes, n_permutations, cell_seed)
        except InputError as error:
            raise InputError(f"{_path(predictions, cell)}: {error}") from error
        tested = not np.isnan(p_values).any()
        by_reference = dict(zip(asked, np.reshape(p_values, (len(layers), len(asked))).T, strict=True))
        above = {
            name: [layer for layer, p in zip(layers, of_layers, strict=True) if p <= LEVEL]
            for name, of_layers in by_reference.items()
        }
        above["all"] = [layer for layer in layers if all(layer in found for found in above.values())]
        missing = [] if of_twins else [TWIN_NOT_ASKED if twins.get(cell[0]) else NO_TWIN]
        image = _prompts_of(task, prompts).get(cell[2], {}).get("image", "shown")
        missing += [] if text_only or image == "none" else [NO_TEXT_ONLY]
        missing += [] if tested else [TOO_FEW]
        rows.append(
            row
            | {"image": image}
            | {"twins": " ".join(twin for twin, *_ in of_twins), "text_only": text_only[2] if text_only else ""}
            | {"missing": "; ".join(missing)}
            | _found(above, row["best_layer"], test[cell])
            | _highest("twin", [test[twin] for twin in of_twins], layers)
            | _highest("text", [test[text_only]] if text_only else [], layers)
        )
    return pd.DataFrame(rows)


def _found(above: Mapping[str, Sequence[int]], best: int, scores: pd.DataFrame) -> dict[str, Any]:
    """The first layer above each reference and above all, all such layers, and the score at the first above all."""
    found: dict[str, Any] = {}
    for name in (*REFERENCES, "all"):
        first = first_of(above.get(name, ()), best)
        found[f"first_above_{name}"] = pd.NA if first is None else first
        found[f"above_{name}"] = " ".join(map(str, above.get(name, ())))
    first = first_of(above["all"], best)
    for column, suffix in BOUNDED:
        found[f"first{suffix}"] = np.nan if first is None else scores.loc[first, column]
    return found


def _highest(name: str, scores: Sequence[pd.DataFrame], layers: Sequence[int]) -> dict[str, float]:
    """The highest test score of a reference among all layers, of the mean over draws."""
    mean = np.mean([of_draw.loc[layers, "value"] for of_draw in scores], axis=0) if scores else np.array([np.nan])
    return {f"{name}_highest": float(mean.max())}


def text_only_twin(
    cell: tuple[str, str, str], task: Task, prompts: Sequence[Mapping[str, str]], cells: Collection
) -> tuple[str, str, str] | None:
    """The same model asked in the same words without an image; None for a prompt that shows none, or without one.

    Args:
        cell: model, task and prompt.
        task: of the cell.
        prompts: the grid's prompts, see :func:`layerwise.compare.inputs.read_prompts`.
        cells: all that there are.
    """
    of_stimuli = _prompts_of(task, prompts)
    if of_stimuli.get(cell[2], {"image": "none"}).get("image") == "none":
        return None
    for name, prompt in of_stimuli.items():
        same = prompt["text"] == of_stimuli[cell[2]]["text"] and prompt.get("image") == "none"
        if same and (cell[0], cell[1], name) in cells:
            return cell[0], cell[1], name
    return None


def _prompts_of(task: Task, prompts: Sequence[Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    return {prompt["prompt"]: prompt for prompt in prompts if prompt["stimuli"] == task.stimuli}


def _majority_classes(
    scores: pd.DataFrame, task: Task, cell: tuple[str, str, str], predictions: Path
) -> dict[str, np.ndarray]:
    """By label the margins that always say what the majority baseline of the cell says.

    Raises:
        InputError: No class gives the baseline's score.
    """
    rows = scores[(scores[CELL] == list(cell)).all(axis=1) & (scores["probe"] == "majority")]
    rows = rows[(rows["split"] == "test") & (rows["metric"] == task.metric)].set_index("label")["value"]
    metric, found = METRICS[task.metric], {}
    classes = np.eye(task.n_classes)
    for label, items in read_predictions(_path(predictions, cell), 0, "test").groupby("label"):
        y = items["y"].to_numpy()
        found[label] = constant_margins(classes[0])
        if not metric.is_defined(y, task.n_classes):
            continue
        values = [
            metric.values(y, np.tile(constant_margins(k), (len(y), 1)), np.ones((1, len(y))), task.n_classes)[0]
            for k in classes
        ]
        nearest = int(np.abs(np.array(values) - rows[label]).argmin())
        if abs(values[nearest] - rows[label]) > 1e-4:
            raise InputError(
                f"{_path(predictions, cell)}: no constant answer has the majority baseline's {task.metric} "
                f"{rows[label]:.4f} for the label {label!r}; run the probes of this cell again"
            )
        found[label] = constant_margins(classes[nearest])
    return found


def _pairs(
    cell: tuple[str, str, str],
    layers: Sequence[int],
    chance: Mapping[str, np.ndarray],
    references: Mapping[str, Sequence[tuple[str, str, str]]],
    predictions: Path,
    task: Task,
) -> Iterator[tuple[pd.DataFrame, list[pd.DataFrame]]]:
    """Each layer with each of its references, those of a layer together."""
    for layer in layers:
        own = read_predictions(_path(predictions, cell), layer, "test")
        yield own, [own.assign(scores=own["label"].map(chance))]
        for cells in references.values():
            yield own, [read_predictions(_path(predictions, other), layer, "test") for other in cells]


def _path(predictions: Path, cell: tuple[str, str, str]) -> Path:
    model, task, prompt = cell
    return predictions / model / task / f"{prompt}.predictions.parquet"
