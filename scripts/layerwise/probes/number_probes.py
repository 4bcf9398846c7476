"""Everything measured on one layer for a task about numbers: ridge regression, its control, the training mean."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from layerwise.probes.bootstrap import Units, difference_interval, distinct_texts
from layerwise.probes.number_metrics import AVERAGED, METRICS, number_values
from layerwise.probes.problems import Problem, standardise
from layerwise.probes.ridge import ridge_path
from layerwise.probes.scoring import HELD_OUT, clusters_of

# By split and metric, shape (labels, 1 + R): the value and its resamples; 3 R of them where texts cross images.
Measured = dict[tuple[str, str], np.ndarray]
# By split, shape (n,): of one label.
Estimates = dict[str, np.ndarray]
SELECTIVITY = ("r2",)


class NumberProbes:
    """Fits and scores ridge regressions, layer by layer. It keeps no states between layers."""

    def __init__(
        self, problems: list[Problem], penalties: Sequence[float], resamples: int, seed: int, repeats: int = 0
    ):
        """
        Args:
            problems: the task's labels; their ``y`` are numbers.
            penalties: strengths of the penalty, per training item.
            resamples: number of bootstrap resamples.
            seed: for the resamples and the permuted numbers.
            repeats: number of controls with permuted numbers per label; their scores are averaged.
        """
        self.problems, self.penalties = problems, sorted(penalties)
        self.training_rows = np.unique(np.concatenate([problem.rows["train"] for problem in problems]))
        self._controls = [[permuted(problem, k, seed) for problem in problems] for k in range(repeats)]
        self._clusters, self._weights = {}, {}
        for number, split in enumerate(HELD_OUT):
            clusters = self._clusters[split] = clusters_of(problems, split)
            draws = clusters.draw(resamples, np.random.default_rng([seed, number]))
            parts = [clusters.weights(draws, place) for place in range(len(problems))]
            self._weights[split] = [np.vstack([np.ones_like(part[:1]), part]) for part in parts]

    def mean(self) -> pd.DataFrame:
        """Score rows of always giving the mean of the training items, the same for all layers."""
        estimates = [
            {split: np.full(len(problem.y[split]), problem.y["train"].mean()) for split in HELD_OUT}
            for problem in self.problems
        ]
        # A constant has no ranks.
        measured = self._measure(estimates, self.problems, [name for name in METRICS if name != "spearman"])
        return pd.DataFrame(self._rows(measured)).assign(probe="mean")

    def layer(self, states: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Fit and score on one layer.

        Args:
            states: shape (rows, width), float32; overwritten.

        Returns:
            Score rows and held-out estimates, see docs/formats.md, without the columns that name layer and cell.
        """
        states = standardise(states, self.training_rows)
        tasks = [self.problems, *self._controls]
        (estimates, chosen), *controls = self._fitted(states, tasks)
        measured = self._measure(estimates, self.problems)
        parts = [*_as("ridge", self._rows(measured, chosen)), *_as("ridge", self._training_rows(estimates, chosen))]
        if controls:
            found = [
                self._measure(guess, problems, SELECTIVITY)
                for (guess, _), problems in zip(controls, self._controls, strict=True)
            ]
            mean = {key: np.mean([each[key] for each in found], axis=0) for key in found[0]}
            above = {key: measured[key] - values for key, values in mean.items()}
            parts += [*_as("control", self._rows(mean)), *_as("selectivity", self._rows(above, differences=True))]
        kept = [_held_out(problem, of) for problem, of in zip(self.problems, estimates, strict=True)]
        return pd.DataFrame(parts), pd.concat(kept, ignore_index=True)

    def _fitted(self, states: np.ndarray, tasks: list[list[Problem]]) -> list[tuple[list[Estimates], list[float]]]:
        """For each task, its labels' estimates and penalties, each penalty the best on validation.

        Labels, and controls, over the same training rows share one decomposition. A control has a penalty of its own:
        as R² has no lower limit, one that fits noise would raise the selectivity above the score itself.
        """
        estimates: dict[int, Estimates] = {}
        chosen: dict[int, float] = {}
        every = [problem for problems in tasks for problem in problems]
        alike: dict[bytes, list[int]] = {}
        for place, problem in enumerate(every):
            alike.setdefault(np.ascontiguousarray(problem.rows["train"]).tobytes(), []).append(place)
        for places in alike.values():
            rows = every[places[0]].rows["train"]
            path = ridge_path(states, rows, np.stack([every[place].y["train"] for place in places]), self.penalties)
            for target, place in enumerate(places):
                problem = every[place]
                validation = path.part(slice(None), target).estimates(states, problem.rows["val"])[:, 0]
                errors = np.square(validation - problem.y["val"]).mean(axis=1)
                # Of equals the strongest penalty.
                best = len(errors) - 1 - int(np.argmin(errors[::-1]))
                fit = path.part(slice(best, best + 1), target)
                estimates[place] = {
                    split: fit.estimates(states, problem.rows[split])[0, 0] for split in ("train", *HELD_OUT)
                }
                chosen[place] = self.penalties[best]
        size = len(self.problems)
        spans = [range(start, start + size) for start in range(0, len(every), size)]
        return [([estimates[place] for place in span], [chosen[place] for place in span]) for span in spans]

    def _measure(
        self, estimates: list[Estimates], problems: list[Problem], metrics: Iterable[str] = tuple(METRICS)
    ) -> Measured:
        return {
            (split, metric): np.stack(
                [
                    number_values(metric, problem.y[split], of_label[split], self._weights[split][place])
                    for place, (problem, of_label) in enumerate(zip(problems, estimates, strict=True))
                ]
            )
            for split in HELD_OUT
            for metric in metrics
        }

    def _rows(self, measured: Measured, chosen: list[float] | None = None, differences: bool = False) -> Iterator[dict]:
        """Score rows: for each split, metric and label, and the mean over labels, ``macro``, where it has a meaning."""
        for (split, metric), values in measured.items():
            for place, (problem, of_label) in enumerate(zip(self.problems, values, strict=True)):
                penalty = np.nan if chosen is None else chosen[place]
                row = {"label": problem.label, "split": split, "metric": metric}
                yield row | self._value(of_label, split, place, metric, differences) | self._penalty(penalty)
            if len(values) > 1 and metric in AVERAGED:
                row = {"label": "macro", "split": split, "metric": metric}
                yield row | self._value(values.mean(axis=0), split, None, metric, differences) | self._penalty(np.nan)

    def _value(self, values: np.ndarray, split: str, place: int | None, metric: str, differences: bool) -> dict:
        resampled, units = self._clusters[split].evidence(values[1:], place)
        value = float(values[0])
        low, high = number_interval(metric, value, resampled, units, differences)
        problems = self.problems if place is None else [self.problems[place]]
        groups = np.concatenate([problem.groups[split] for problem in problems])
        row = {"value": value, "low": low, "high": high, "n": len(groups), "n_groups": len(np.unique(groups))}
        return row | {"n_texts": distinct_texts(units)}

    def _penalty(self, penalty: float) -> dict:
        ends = (self.penalties[0], self.penalties[-1])
        return {"penalty": penalty, "at_boundary": len(self.penalties) > 1 and penalty in ends}

    def _training_rows(self, estimates: list[Estimates], chosen: list[float]) -> Iterator[dict]:
        """R² on the training items, without interval."""
        for problem, of_label, penalty in zip(self.problems, estimates, chosen, strict=True):
            y, groups = problem.y["train"], problem.groups["train"]
            value = float(METRICS["r2"](y, of_label["train"], np.ones((1, len(y))))[0])
            row = {"label": problem.label, "split": "train", "metric": "r2", "value": value, "low": np.nan}
            row |= {"high": np.nan, "n": len(y), "n_groups": len(np.unique(groups)), "n_texts": 0}
            yield row | self._penalty(penalty)


def number_interval(
    metric: str, value: float, resampled: np.ndarray, units: Units, differences: bool = False
) -> tuple[float, float]:
    """95 % interval of one of the metrics of numbers, or of a difference of two values of it: Student's, with the
    bootstrap's standard error, cut off where the metric ends. R² has no lower limit, an absolute error no upper one."""
    low, high = difference_interval(value, resampled, units, bound=np.inf)
    if differences:
        return low, high
    least, most = {"r2": (-np.inf, 1.0), "mae": (0.0, np.inf), "spearman": (-1.0, 1.0)}[metric]
    return max(low, least), min(high, most)


def permuted(problem: Problem, repeat: int, seed: int) -> Problem:
    """A control: the same inputs, but each image has the numbers of another one of its split.

    After the random labels of Hewitt and Liang 2019, arXiv 1909.03368. An image's items take the other image's numbers
    in order, from the first again where it has fewer. All labels of a task are permuted alike.

    Args:
        problem: the task's.
        repeat: which of several controls.
        seed: of the study.
    """
    y = {}
    for number, split in enumerate(("train", *HELD_OUT)):
        rng = np.random.default_rng([seed, repeat, number])
        _, codes = np.unique(problem.groups[split], return_inverse=True)
        order = np.argsort(codes, kind="stable")
        items = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
        y[split] = np.empty(len(codes))
        for taker, giver in enumerate(rng.permutation(len(items))):
            y[split][items[taker]] = np.resize(problem.y[split][items[giver]], len(items[taker]))
    return replace(problem, y=y)


def _as(probe: str, rows: Iterable[dict]) -> list[dict]:
    return [{**row, "probe": probe} for row in rows]


def _held_out(problem: Problem, estimates: Estimates) -> pd.DataFrame:
    """Held-out estimates of one label: ``label, split, item_id, group, text, y, estimate``."""
    tables = [
        pd.DataFrame(
            {
                "label": problem.label,
                "split": split,
                "item_id": problem.items[split],
                "group": problem.groups[split],
                "text": problem.texts.get(split, -1),
                "y": problem.y[split],
                "estimate": estimates[split].astype(np.float32),
            }
        )
        for split in HELD_OUT
    ]
    return pd.concat(tables, ignore_index=True)
