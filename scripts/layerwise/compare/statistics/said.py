"""How good a model's answers are, in every layer: with intervals, as probes are scored."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd

from layerwise.answers.calibration import brier_scores, calibration_error, class_probabilities
from layerwise.compare.inputs import Model
from layerwise.compare.readings import SAID, THRESHOLD, WRITTEN
from layerwise.compare.statistics.answered import Answered, ItemScorer
from layerwise.errors import InputError
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.scoring import HELD_OUT, Guess


def score_answers(cells: Iterable[Answered], models: Mapping[str, Model], n_resamples: int, seed: int) -> pd.DataFrame:
    """Score the answers of every cell and layer; :mod:`layerwise.compare.said` lists the columns.

    Args:
        cells: read one at a time.
        models: model descriptions.
        n_resamples: bootstrap resamples.
        seed: that of the probes' scores, so that answers are scored on the same resamples.

    Raises:
        InputError: a model has no description.
    """
    parts = []
    for answered in cells:
        cell = answered.cell
        if cell.model not in models:
            raise InputError(f"no model.json describes {cell.model}; give one for every model that is asked")
        scorer = ItemScorer(answered.problems, n_resamples, seed)
        rows = [row | {"layer": layer} for layer in answered.layers for row in _layer_rows(answered, scorer, layer)]
        if cell.written is not None:
            last = models[cell.model].n_layers + 1
            rows += [row | {"layer": last} for row in _written_rows(answered, scorer)]
        names = {"model": cell.model, "task": cell.task.task, "prompt": cell.prompt}
        parts.append(pd.DataFrame(rows).assign(**names, n_layers=models[cell.model].n_layers))
    return pd.concat(parts, ignore_index=True)


def _layer_rows(answered: Answered, scorer: ItemScorer, layer: int) -> Iterator[dict]:
    task, problems = answered.cell.task, answered.problems
    guesses = answered.margins(layer)
    offsets = answered.offsets(guesses)
    shifted = [
        Guess({split: scores + of_label for split, scores in guess.scores.items()})
        for guess, of_label in zip(guesses, offsets, strict=True)
    ]
    own = list(dict.fromkeys(["accuracy", task.metric]))
    measured = [(SAID, scorer.measure(guesses, metrics=own))]
    # Offsets change which class is said; for two classes they change no order.
    measured.append((THRESHOLD, scorer.measure(shifted, metrics=[name for name in own if not METRICS[name].ranks])))
    for answer, values in measured:
        for row in scorer.rows(values):
            yield {key: value for key, value in row.items() if key not in ("C", "at_boundary")} | {"answer": answer}
    if "roc_auc" not in own:
        for row in scorer.area_rows(guesses, "test"):
            yield row | {"answer": SAID}
    mass = answered.mass(layer)
    for split in HELD_OUT:
        for answer, of_answer in ((SAID, guesses), (THRESHOLD, shifted)):
            yield from _share_rows(
                scorer, split, [predicted(guess.scores[split]) for guess in of_answer], answer, task.classes
            )
        probabilities = [class_probabilities(guess.scores[split]) for guess in guesses]
        of_items = [
            np.stack([brier_scores(problem.y[split], of_label), of_mass[split]])
            for problem, of_label, of_mass in zip(problems, probabilities, mass, strict=True)
        ]
        means = scorer.means(of_items, split)
        for place, name in enumerate(("brier", "mass")):
            if np.isfinite(means[:, place, 0]).any():
                for row in scorer.mean_rows(split, name, means[:, place]):
                    yield row | {"answer": SAID}
        errors = [
            calibration_error(problem.y[split], of_label)
            for problem, of_label in zip(problems, probabilities, strict=True)
        ]
        for row in scorer.mean_rows(split, "calibration_error", _without_interval(errors), _no_interval):
            yield row | {"answer": SAID}
    for problem, of_label in zip(problems, offsets, strict=True):
        for name, offset in zip(task.classes[-len(of_label) :], of_label, strict=True):
            row = {"label": problem.label, "split": "val", "metric": f"offset:{name}", "value": float(offset)}
            counts = {"n": len(problem.y["val"]), "n_groups": len(np.unique(problem.groups["val"])), "n_texts": 0}
            yield row | {"low": np.nan, "high": np.nan, "answer": THRESHOLD} | counts


def _written_rows(answered: Answered, scorer: ItemScorer) -> Iterator[dict]:
    said = answered.written()
    for split in HELD_OUT:
        of_items = [
            np.stack([found[split] == problem.y[split], found[split] == -2]).astype(float)
            for problem, found in zip(answered.problems, said, strict=True)
        ]
        means = scorer.means(of_items, split)
        for place, name in enumerate(("accuracy", "unmatched")):
            for row in scorer.mean_rows(split, name, means[:, place]):
                yield row | {"answer": WRITTEN}
        yield from _share_rows(scorer, split, [found[split] for found in said], WRITTEN, answered.cell.task.classes)


def _share_rows(
    scorer: ItemScorer, split: str, said: list[np.ndarray], answer: str, classes: list[str]
) -> Iterator[dict]:
    """Of how many items each class is said."""
    shares = scorer.means([(of_label == np.arange(len(classes))[:, None]).astype(float) for of_label in said], split)
    for k, name in enumerate(classes):
        for row in scorer.mean_rows(split, f"says:{name}", shares[:, k]):
            yield row | {"answer": answer}


def _without_interval(values: list[float]) -> np.ndarray:
    """Values of labels as :meth:`ItemScorer.mean_rows` takes them, with no resample."""
    return np.array(values)[:, None]


def _no_interval(value: float, resampled: np.ndarray, units: object) -> tuple[float, float]:
    return np.nan, np.nan
