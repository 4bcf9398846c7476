"""What each picture is worth: a prompt that shows all pictures in order against the same words with others, or none."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Task, read_predictions
from layerwise.compare.rows import headline_scores, majority_scores
from layerwise.compare.shown_pictures import in_words, is_own, rank
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.layers import check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.errors import InputError

Cell = tuple[str, str, str]
Prompt = Mapping[str, Any]
NO_DIFFERENCE = {
    **dict.fromkeys(("difference", "difference_low", "difference_high", "p_value"), np.nan),
    "p_is_bound": False,
}


def compare_controls(
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Sequence[str],
    prompts: Sequence[Prompt],
    predictions_root: str | Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare each prompt that shows all pictures in order with those of the same words that do not.

    Each prompt's best layer is chosen by its own scores on the validation items, which favours none on the test.

    Args:
        scores: All cells' tidy rows, see :func:`layerwise.compare.inputs.read_scores`.
        tasks: Task descriptions.
        models: Names of the models that are shown.
        prompts: The grid's prompts, see :func:`layerwise.compare.inputs.read_prompts`.
        predictions_root: Folder with {model}/{task}/{prompt}.predictions.parquet.
        n_resamples: Bootstrap resamples for the interval of the difference.
        n_permutations: Swaps drawn for each p-value.
        seed: Seed; each difference draws from its own stream.

    Returns:
        A row per cell and layer, in the order of tasks, models and prompts; see
        :mod:`layerwise.compare.picture_controls`.

    Raises:
        InputError: No prompt has a control, or the predictions do not give the scores or are of other items.
    """
    validation, test = (dict(list(headline_scores(scores, tasks, split).groupby(CELL))) for split in ("val", "test"))
    majority = majority_scores(scores, tasks).groupby(CELL)["value"].first()
    how = Path(predictions_root), n_resamples, n_permutations, seed
    rows: list[dict[str, Any]] = []
    for name, task in tasks.items():
        for model in models:
            for own, controls in _wordings(prompts, task):
                cell = model, name, own["prompt"]
                there = {prompt["prompt"]: prompt for prompt in controls if (model, name, prompt["prompt"]) in test}
                if cell not in test or not there:
                    continue
                best = choose_layer(validation[cell])
                rows += _rows(cell, cell, own, task, test[cell], best, float(majority[cell]))
                for other, prompt in there.items():
                    control = model, name, other
                    its_best = choose_layer(validation[control])
                    found = _rows(cell, control, prompt, task, test[control], its_best, float(majority[control]))
                    compared = _difference((cell, best), (control, its_best), test, task, *how)
                    rows += [row | compared if row["is_best"] else row for row in found]
    if not rows:
        raise InputError(
            "no prompt that shows all pictures of an item has the same words as one that shows others; add prompts of "
            "the same text with `image` or `images`"
        )
    return with_holm(pd.DataFrame(rows))


def _wordings(prompts: Sequence[Prompt], task: Task) -> Iterator[tuple[Prompt, list[Prompt]]]:
    """Each prompt of a task that shows all of several pictures in order, with the others of the same text."""
    of_stimuli = [prompt for prompt in prompts if prompt["stimuli"] == task.stimuli and prompt.get("pictures", 1) > 1]
    for own in filter(is_own, of_stimuli):
        controls = [other for other in of_stimuli if other["text"] == own["text"] and not is_own(other)]
        yield own, sorted(controls, key=rank)


def _rows(
    cell: Cell, shown: Cell, prompt: Prompt, task: Task, test: pd.DataFrame, best: int, majority: float
) -> Iterator[dict[str, Any]]:
    """A row per layer of one prompt, without a difference."""
    described: dict[str, Any] = dict(zip(CELL, cell, strict=True)) | {"control": "" if shown == cell else shown[2]}
    described |= {"shown": in_words(prompt), "metric": task.metric, "label": task.headline_label, "majority": majority}
    columns = ["layer", "n_layers", "value", "low", "high", "n", "n_groups"]
    for row in test[columns].sort_values("layer").to_dict("records"):
        yield described | row | {"is_best": row["layer"] == best} | NO_DIFFERENCE


def _difference(
    own: tuple[Cell, int],
    control: tuple[Cell, int],
    test: Mapping[Cell, pd.DataFrame],
    task: Task,
    predictions_root: Path,
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> dict[str, Any]:
    """The score of one cell and layer less that of another, on the same test items."""
    sides = own, control
    paths = [predictions_root / model / name / f"{prompt}.predictions.parquet" for (model, name, prompt), _ in sides]
    first, second = (read_predictions(path, layer, "test") for path, (_, layer) in zip(paths, sides, strict=True))
    stream = "\0".join(["picture-controls", *own[0], control[0][2]])
    rng = np.random.default_rng([seed, *hashlib.sha256(stream.encode()).digest()])
    try:
        found = paired_difference(first, second, task.metric, task.n_classes, n_resamples, n_permutations, rng)
    except InputError as error:
        raise InputError(f"{paths[0]} and {paths[1]}: {error}") from error
    for path, (cell, layer), value in zip(paths, sides, (found.first, found.second), strict=True):
        check_same_run(path, layer, task.metric, value, test[cell].set_index("layer")["value"][layer])
    described = {"difference": found.difference, "difference_low": found.low, "difference_high": found.high}
    return described | {"p_value": found.p_value, "p_is_bound": found.p_is_bound}
