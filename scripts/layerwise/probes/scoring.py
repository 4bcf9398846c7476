"""Scores of a cell (model x task x prompt) as tidy rows, with bootstrap intervals and a majority baseline."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.probes.bootstrap import (
    Interval,
    Redrawn,
    Units,
    difference_interval,
    distinct_texts,
    error_and_freedom,
    standard_error,
)
from layerwise.probes.clusters import Clusters
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import constant_margins
from layerwise.probes.metrics.scored import ALWAYS
from layerwise.probes.problems import Problem

HELD_OUT = ("val", "test")
# By split and metric, shape (labels, 1 + R): the value and its resamples; 3 R of them where texts cross images.
Measured = dict[tuple[str, str], np.ndarray]


@dataclass(frozen=True)
class Guess:
    """Margins of one probe (or of the majority baseline) on the held-out splits.

    Attributes:
        scores: by split, shape (n, 1) or (n, K).
        C: inverse strength of the penalty, NaN for the baseline.
        at_boundary: whether C is the least or greatest of those tried, so that a wider grid might do better.
    """

    scores: dict[str, np.ndarray]
    C: float = float("nan")
    at_boundary: bool = False


def majority_guess(problem: Problem) -> Guess:
    """Always the most frequent training class, whatever is shown."""
    margin = constant_margins(np.bincount(problem.y["train"], minlength=problem.n_classes))
    return Guess({split: np.tile(margin, (len(problem.y[split]), 1)) for split in HELD_OUT})


class Scorer:
    """Turns guesses into score rows. All layers are scored on the same resamples, so that they can be compared."""

    def __init__(self, problems: list[Problem], resamples: int, seed: int):
        self.problems = problems
        self._clusters, self._weights = {}, {}
        for number, split in enumerate(HELD_OUT):
            # Groups are drawn once for all labels together, so that an image is in or out for every label.
            clusters = self._clusters[split] = clusters_of(problems, split)
            draws = clusters.draw_seeded(resamples, (seed, number))
            # Per problem a row of ones for the value, then the resamples.
            parts = [clusters.weights(draws, place) for place in range(len(problems))]
            self._weights[split] = [np.vstack([np.ones_like(part[:1]), part]) for part in parts]

    def evidence(self, split: str, label: str, values: np.ndarray) -> tuple[np.ndarray, Units]:
        """The resamples among the values of a label, or of their mean ``macro``, shape (1 + R,), and their units."""
        return self._clusters[split].evidence(values[1:], self._place(label))

    def _place(self, label: str) -> int | None:
        names = [problem.label for problem in self.problems]
        return names.index(label) if label in names else None

    def nothing(self, split: str) -> np.ndarray:
        """What stands for the values of a label without a probe."""
        return np.full(len(self._weights[split][0]), np.nan)

    def measure(
        self, guesses: list[Guess], problems: list[Problem] | None = None, metrics: Iterable[str] = ALWAYS
    ) -> Measured:
        """Metrics of one layer's guesses: by split and metric, shape (labels, 1 + R), the value and its resamples.

        Args:
            guesses: one per problem.
            problems: with labels of their own for the same items. Default - the scorer's.
            metrics: names of the metrics.
        """
        return {
            (split, metric): np.stack(
                [
                    self.measure_label(place, guess.scores[split], split, metric, problem.y[split])
                    for place, (problem, guess) in enumerate(zip(problems or self.problems, guesses, strict=True))
                ]
            )
            for split in HELD_OUT
            for metric in metrics
        }

    def measure_label(
        self, place: int, scores: np.ndarray, split: str, metric: str, y: np.ndarray | None = None
    ) -> np.ndarray:
        """One metric of one problem, shape (1 + R,), of margins for its items; ``y`` are labels other than its own."""
        problem = self.problems[place]
        y = problem.y[split] if y is None else y
        return METRICS[metric].values(y, scores, self._weights[split][place], problem.n_classes)

    def _row(self, label: str, split: str, metric: str, values: np.ndarray, groups: np.ndarray, made: Interval) -> dict:
        resampled, units = self.evidence(split, label, values)
        low, high = made(float(values[0]), resampled, units)
        row = {"label": label, "split": split, "metric": metric, "value": float(values[0]), "low": low, "high": high}
        return row | {"n": len(groups), "n_groups": len(np.unique(groups)), "n_texts": distinct_texts(units)}

    def redrawn(self, split: str, label: str, draws: np.ndarray, n_training_groups: int) -> Redrawn:
        """What the score of a label, or the mean ``macro``, varies with when training groups are random too.

        Args:
            split: of the items.
            label: or ``macro``.
            draws: values of the probes of all draws, shape (N, 1 + R); NaN where a draw has none.
            n_training_groups: how many are drawn from.
        """
        draws = draws[~np.isnan(draws[:, 0])]
        units, n = self._clusters[split].units(self._place(label)), len(draws)
        if n < 2:
            return Redrawn(units, np.nan, np.nan, n)
        apart = draws - draws.mean(axis=0)
        errors = [error_and_freedom(*self.evidence(split, label, values))[0] for values in apart]
        over_draws = standard_error(draws[:, 0], n_training_groups) ** 2
        return Redrawn(units, over_draws, float(np.square(errors).sum() / (n - 1)), n)

    def rows(self, measured: Measured, guesses: list[Guess] | None = None, differences: bool = False) -> Iterator[dict]:
        """Score rows of one layer: for each split, metric and label, and for several labels their mean, ``macro``.

        Args:
            measured: values and resamples, see :meth:`measure`.
            guesses: give C and whether it is at the grid's end. Default - NaN and no.
            differences: whether the values are differences of two scores.
        """
        guesses = guesses or [Guess({})] * len(self.problems)
        for (split, metric), values in measured.items():
            of_metric = METRICS[metric]
            of_difference = partial(difference_interval, bound=of_metric.greatest_difference)
            made = of_difference if differences else of_metric.interval
            for problem, guess, of_label in zip(self.problems, guesses, values, strict=True):
                groups = problem.groups[split]
                yield self._row(problem.label, split, metric, of_label, groups, made) | {
                    "C": guess.C,
                    "at_boundary": guess.at_boundary,
                }
            if len(values) > 1:
                groups = np.concatenate([problem.groups[split] for problem in self.problems])
                # A resample in which a label has only one class counts by the other labels.
                yield self._row("macro", split, metric, np.nanmean(values, axis=0), groups, made) | {
                    "C": float("nan"),
                    "at_boundary": any(guess.at_boundary for guess in guesses),
                }


def clusters_of(problems: list[Problem], split: str) -> Clusters:
    """What the items of a split share: images, and texts where they are known."""
    texts = [problem.texts[split] for problem in problems if split in problem.texts]
    known = len(texts) == len(problems)
    return Clusters([problem.groups[split] for problem in problems], texts if known else None)


def predictions(problem: Problem, guess: Guess, predicted: dict[str, np.ndarray]) -> pd.DataFrame:
    """Held-out predictions of one label: ``label, split, item_id, group, text, y, pred, scores``."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "label": problem.label,
                    "split": split,
                    "item_id": problem.items[split],
                    "group": problem.groups[split],
                    "text": problem.texts.get(split, -1),
                    "y": problem.y[split],
                    "pred": predicted[split],
                    "scores": list(guess.scores[split].astype(np.float32)),
                }
            )
            for split in HELD_OUT
        ],
        ignore_index=True,
    )


@contextmanager
def predictions_file(path: str | Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Gives a function that adds a table to a Parquet file, so that only one layer is in memory at a time."""
    with ExitStack() as writers:
        writer: pq.ParquetWriter | None = None

        def add(table: pd.DataFrame) -> None:
            nonlocal writer
            rows = pa.Table.from_pandas(table, preserve_index=False)
            writer = writer or writers.enter_context(pq.ParquetWriter(path, rows.schema))
            writer.write_table(rows)

        yield add
