"""Does a model say what its layers know? Right answers of probes against right answers of the model, item by item."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from layerwise.compare.inputs import CELL, Model, Task, read_predictions
from layerwise.compare.readings import SAID, SHARES, THRESHOLD
from layerwise.compare.rows import headline_scores, majority_scores
from layerwise.compare.statistics.answered import Answered, ItemScorer
from layerwise.compare.statistics.choice import choose_layer
from layerwise.compare.statistics.layers import BOUNDED, check_same_run
from layerwise.compare.statistics.paired import paired_difference
from layerwise.compare.statistics.significance import with_holm
from layerwise.errors import InputError
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.scoring import Guess


def known_and_said(cells: Iterable[Answered], models: Mapping[str, Model], n_resamples: int, seed: int) -> pd.DataFrame:
    """Shares of test items by what is known and said; :mod:`layerwise.compare.known_said` lists the columns.

    Args:
        cells: read one at a time.
        models: model descriptions.
        n_resamples: bootstrap resamples.
        seed: that of the probes' scores.
    """
    parts = []
    for answered in cells:
        scorer = ItemScorer(answered.problems, n_resamples, seed)
        said = right_answers(answered)
        rows = [
            row | {"layer": layer, "answer": answer}
            for layer in answered.known_layers
            for answer, of_labels in said.items()
            for row in share_rows(scorer, _right(answered, answered.known(layer, "test")), of_labels)
        ]
        cell = answered.cell
        names = {"model": cell.model, "task": cell.task.task, "prompt": cell.prompt}
        parts.append(pd.DataFrame(rows).assign(**names, n_layers=models[cell.model].n_layers))
    return pd.concat(parts, ignore_index=True)


def right_answers(answered: Answered) -> dict[str, list[np.ndarray]]:
    """Which test items a model answers rightly at the top, per label, by how the answer is read."""
    guesses = answered.margins(answered.top)
    read = {SAID: guesses, THRESHOLD: answered.at_threshold(guesses)}
    return {
        answer: _right(answered, [guess.scores["test"] for guess in of_answer]) for answer, of_answer in read.items()
    }


def _right(answered: Answered, margins: Sequence[np.ndarray]) -> list[np.ndarray]:
    return [
        predicted(of_label) == problem.y["test"] for problem, of_label in zip(answered.problems, margins, strict=True)
    ]


def share_rows(
    scorer: ItemScorer, known: Sequence[np.ndarray], said: Sequence[np.ndarray]
) -> Iterator[dict[str, object]]:
    """The four shares of a layer with their intervals, for each label and for their mean ``macro``.

    ``independent`` is the share if being known told nothing of being said: the product of both margins, label by label.
    ``phi`` is the correlation of being known and being said, the same for all four; NaN if either is so of all items or
    of none.

    Args:
        scorer: of the labels.
        known: per label, shape (n,): whether the probe is right on each test item.
        said: per label, shape (n,): whether the model is.
    """
    kinds = [np.stack([k & s, k & ~s, ~k & s, ~k & ~s]).astype(float) for k, s in zip(known, said, strict=True)]
    means = scorer.means(kinds, "test")
    values = means[:, :, 0]
    of_known, of_said = values[:, 0] + values[:, 1], values[:, 0] + values[:, 2]
    if_independent = [of_known * of_said, of_known * (1 - of_said), (1 - of_known) * of_said]
    if_independent.append((1 - of_known) * (1 - of_said))
    spread = np.sqrt(of_known * (1 - of_known) * of_said * (1 - of_said))
    phi = np.divide(values[:, 0] - if_independent[0], spread, out=np.full(len(spread), np.nan), where=spread > 1e-9)
    labels = [problem.label for problem in scorer.problems]
    defined = phi[np.isfinite(phi)]
    for place, (share, independent) in enumerate(zip(SHARES, if_independent, strict=True)):
        beside = dict(zip(labels, zip(independent, phi, strict=True), strict=True))
        if len(labels) > 1:
            beside["macro"] = (independent.mean(), defined.mean() if len(defined) else np.nan)
        for row in scorer.mean_rows("test", share, means[:, place]):
            expected, correlation = beside[str(row["label"])]
            yield {**row, "share": row["metric"]} | {"independent": float(expected), "phi": float(correlation)}


def compare_known_said(
    cells: Iterable[Answered],
    scores: pd.DataFrame,
    tasks: Mapping[str, Task],
    models: Mapping[str, Model],
    n_resamples: int,
    n_permutations: int,
    seed: int,
) -> pd.DataFrame:
    """Compare, in every cell, the probe of the best layer with the model's answer, on the same test items.

    Args:
        cells: read one at a time.
        scores: the probes' scores; validation chooses the best layer.
        tasks: task descriptions.
        models: model descriptions, without interventions; cells of other models are left out.
        n_resamples: bootstrap resamples for the interval of the difference.
        n_permutations: swaps drawn for each p-value.
        seed: each row draws from its own stream.

    Returns:
        Two rows per cell, one if the task's metric ranks; :mod:`layerwise.compare.known_said_top` lists the columns.

    Raises:
        InputError: a cell has no scores, or the predictions do not give them.
    """
    headline = {split: dict(list(headline_scores(scores, tasks, split).groupby(CELL))) for split in ("val", "test")}
    chance = majority_scores(scores, tasks).set_index(CELL)["value"]
    rows = []
    for answered in cells:
        cell, task = answered.cell, answered.cell.task
        if cell.model not in models:
            continue
        key = (cell.model, task.task, cell.prompt)
        if key not in headline["test"] or key not in headline["val"]:
            raise InputError(f"{cell}: the scores have no row of it; run the probes of this cell again")
        best = choose_layer(headline["val"][key])
        known = headline["test"][key].set_index("layer").loc[best]
        first = read_predictions(cell.predictions, best, "test")
        guesses = answered.margins(answered.top)
        read: dict[str, list[Guess]] = {SAID: guesses}
        if not METRICS[task.metric].ranks:
            read[THRESHOLD] = answered.at_threshold(guesses)
        scorer = ItemScorer(answered.problems, n_resamples, seed)
        for answer, of_answer in read.items():
            rng = np.random.default_rng([seed, *hashlib.sha256("\0".join([*key, answer]).encode()).digest()])
            second = answered.predictions(of_answer, "test")
            try:
                found = paired_difference(
                    *(first, second, task.metric, task.n_classes, n_resamples, n_permutations, rng)
                )
            except InputError as error:
                raise InputError(f"{cell.predictions} and {cell.answers}: {error}") from error
            check_same_run(Path(cell.predictions), best, task.metric, found.first, known["value"])
            row: dict[str, Any] = {"model": cell.model, "task": task.task, "prompt": cell.prompt, "metric": task.metric}
            row |= {"label": task.headline_label, "answer": answer}
            row |= {"n_layers": models[cell.model].n_layers, "best_layer": best}
            row |= {f"known{suffix}": known[column] for column, suffix in BOUNDED}
            own = scorer.rows(scorer.measure(of_answer, metrics=[task.metric]))
            said = next(one for one in own if (one["split"], one["label"]) == ("test", task.headline_label))
            row |= {f"said{suffix}": said[column] for column, suffix in BOUNDED}
            row |= {"difference": found.difference, "difference_low": found.low, "difference_high": found.high}
            row |= {"p_value": found.p_value, "p_is_bound": found.p_is_bound}
            row |= {"chance": chance[key], "n": int(known["n"]), "n_groups": int(known["n_groups"])}
            rows.append(row)
    if not rows:
        raise InputError("no model without an intervention is asked for the classes of a task")
    table = with_holm(pd.DataFrame(rows))
    place = {"task": list(tasks), "model": list(models)}
    return table.sort_values(
        ["task", "model"], key=lambda column: column.map(place[column.name].index), kind="stable", ignore_index=True
    )
