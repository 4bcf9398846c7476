"""Scores of a cell - model x task x prompt - as tidy rows, with bootstrap intervals and a majority baseline."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.probes.bootstrap import percentile_interval, resample_weights
from layerwise.probes.metrics import METRICS, metric_values
from layerwise.probes.problems import Problem

SPLITS = ("val", "test")


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
    counts = np.bincount(problem.y["train"], minlength=problem.n_classes)
    if problem.n_classes == 2:
        margin = np.array([1.0 if counts[1] > counts[0] else -1.0])
    else:
        margin = (np.arange(problem.n_classes) == counts.argmax()).astype(float)
    return Guess({split: np.tile(margin, (len(problem.y[split]), 1)) for split in SPLITS})


class Scorer:
    """Turns guesses into score rows; every layer is scored on the same resamples, so that layers can be compared."""

    def __init__(self, problems: list[Problem], resamples: int, seed: int):
        self.problems = problems
        self._weights = {split: self._resample(split, resamples, seed) for split in SPLITS}

    def _resample(self, split: str, resamples: int, seed: int) -> list[np.ndarray]:
        """Per problem, shape (1 + R, n): a row of ones for the value, then the resamples.

        Groups are drawn once for all labels together, so that an image is in or out for every label.
        """
        groups = np.concatenate([problem.groups[split] for problem in self.problems])
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        weights = resample_weights(groups, resamples, rng)
        sizes = np.cumsum([len(problem.groups[split]) for problem in self.problems])[:-1]
        return [np.vstack([np.ones_like(part[:1]), part]) for part in np.split(weights, sizes, axis=1)]

    def rows(self, guesses: list[Guess]) -> Iterator[dict]:
        """Score rows of one layer: for each split, metric and label, and for several labels their mean, ``macro``."""
        for split in SPLITS:
            for metric in METRICS:
                per_label = []
                for problem, guess, weights in zip(self.problems, guesses, self._weights[split], strict=True):
                    y = problem.y[split]
                    values = metric_values(metric, y, guess.scores[split], weights, problem.n_classes)
                    per_label.append(values)
                    yield {
                        **_row(problem.label, split, metric, values),
                        "C": guess.C,
                        "at_boundary": guess.at_boundary,
                        "n": len(y),
                        "n_groups": len(np.unique(problem.groups[split])),
                    }
                if len(per_label) > 1:
                    groups = np.concatenate([problem.groups[split] for problem in self.problems])
                    # A resample in which some label has one class only counts by the other labels.
                    yield {
                        **_row("macro", split, metric, np.nanmean(per_label, axis=0)),
                        "C": float("nan"),
                        "at_boundary": any(guess.at_boundary for guess in guesses),
                        "n": len(groups),
                        "n_groups": len(np.unique(groups)),
                    }


def _row(label: str, split: str, metric: str, values: np.ndarray) -> dict:
    low, high = percentile_interval(values[1:])
    return {"label": label, "split": split, "metric": metric, "value": float(values[0]), "low": low, "high": high}


def predictions(problem: Problem, guess: Guess, predicted: dict[str, np.ndarray]) -> pd.DataFrame:
    """Held-out predictions of one label: ``label, split, item_id, group, y, pred, scores``."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "label": problem.label,
                    "split": split,
                    "item_id": problem.items[split],
                    "group": problem.groups[split],
                    "y": problem.y[split],
                    "pred": predicted[split],
                    "scores": list(guess.scores[split].astype(np.float32)),
                }
            )
            for split in SPLITS
        ],
        ignore_index=True,
    )


@contextmanager
def predictions_file(path: str | Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """Give a function that adds a table to a Parquet file: layer by layer, so that never all are held."""
    with ExitStack() as writers:
        writer: pq.ParquetWriter | None = None

        def add(table: pd.DataFrame) -> None:
            nonlocal writer
            rows = pa.Table.from_pandas(table, preserve_index=False)
            writer = writer or writers.enter_context(pq.ParquetWriter(path, rows.schema))
            writer.write_table(rows)

        yield add
