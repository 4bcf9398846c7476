"""Everything measured on one layer: the task's probes, their controls, and their description length."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import pandas as pd

from layerwise.probes.all_layers import AllLayers, States
from layerwise.probes.controls import PORTIONS, image_order, portion, random_labels
from layerwise.probes.description_length import code_length, code_rows
from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import Probe, choose, margins
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.margins import predicted
from layerwise.probes.metrics.scored import scored_metrics
from layerwise.probes.problems import Problem, standardise
from layerwise.probes.scoring import HELD_OUT, Guess, Measured, Scorer, majority_guess, predictions

log = logging.getLogger(__name__)

CURVE_COLUMNS = ["label", "train_groups", "train_items", "metric", "value", "low", "high", "n", "n_groups", "n_texts"]


@dataclass(frozen=True)
class LayerResult:
    """Tables of one layer, see docs/formats.md, without the columns that name the layer and the cell; and its probes.

    Attributes:
        scores, predictions, curve: the tables.
        fits: the chosen probe of each label.
    """

    scores: pd.DataFrame
    predictions: pd.DataFrame
    curve: pd.DataFrame
    fits: list[Probe]


class LayerProbes:
    """Fits and scores the probes of a task, layer by layer. It keeps no states between layers."""

    def __init__(
        self,
        problems: list[Problem],
        engine: ProbeEngine,
        C: Sequence[float],
        metric: str,
        resamples: int,
        seed: int,
        repeats: int = 0,
        description_length: bool = False,
        resplits: Mapping[str, list[Problem]] | None = None,
        own: str = "logistic",
        metrics: Sequence[str] | None = None,
    ):
        """
        Args:
            problems: the task's labels.
            engine: fits the probes.
            C: inverse strengths of the penalty.
            metric: the task's metric. The learning curve shows it; controls are scored by it and by accuracy.
            resamples: number of bootstrap resamples.
            seed: for the resamples, the random labels and the order of images.
            repeats: number of controls with random labels per label; their scores are averaged.
            description_length: whether to fit probes to portions of the training images too.
            resplits: the same labels under other splits, by the split's seed.
            own: what the score rows call the task's own probes.
            metrics: that the task's own probes are scored by. Default - those of every task, and the task's own.
        """
        self.problems, self.engine, self.C, self.metric = problems, engine, sorted(C), metric
        self.training_rows = np.unique(np.concatenate([problem.rows["train"] for problem in problems]))
        self._own, self._metrics = own, metrics or scored_metrics(metric)
        self._resplits = dict(resplits or {})
        self._scorer = Scorer(problems, resamples, seed)
        self._controls = [[random_labels(problem, k, seed) for problem in problems] for k in range(repeats)]
        self._order = image_order(problems, seed)
        sizes = sorted({round(share * len(self._order)) for share in PORTIONS} - {0}) if description_length else []
        self._portions = {size: [portion(problem, self._order[:size]) for problem in problems] for size in sizes}

    def majority(self) -> pd.DataFrame:
        """Score rows of the majority baseline, the same for all layers."""
        guesses = list(map(majority_guess, self.problems))
        return pd.DataFrame(self._scorer.rows(self._measure(guesses), guesses)).assign(probe="majority")

    def layer(self, states: States, name: str) -> LayerResult:
        """Fit and score on one layer, or on all of them at once.

        Args:
            states: shape (rows, width), float32; overwritten. All layers are standardised already.
            name: of the layer, for warnings.
        """
        states = states if isinstance(states, AllLayers) else standardise(states, self.training_rows)
        fits = self._chosen(states, self.problems, name)
        guesses = [self._guess(fit, states, problem) for fit, problem in zip(fits, self.problems, strict=True)]
        measured = self._measure(guesses)
        parts = [
            *_as(self._own, self._scorer.rows(measured, guesses)),
            *_as(self._own, self._training_accuracy(fits, self.problems, states)),
        ]
        if self._controls:
            parts += self._control_rows(states, fits, guesses, measured, name)
        codes, curve = self._portion_rows(states, measured, name)
        parts += _as(self._own, codes)
        for seed, problems in self._resplits.items():
            parts += self._resplit_rows(states, seed, problems, name)
        kept = [
            predictions(problem, guess, {split: predicted(scores) for split, scores in guess.scores.items()})
            for problem, guess in zip(self.problems, guesses, strict=True)
        ]
        return LayerResult(pd.DataFrame(parts), pd.concat(kept, ignore_index=True), pd.DataFrame(curve), fits)

    def _measure(self, guesses: list[Guess]) -> Measured:
        return self._scorer.measure(guesses, metrics=self._metrics)

    def _chosen(self, states: States, problems: list[Problem], name: str) -> list[Probe]:
        """For each problem, the fit whose C has the lowest validation loss."""
        chosen = []
        for problem, path in zip(problems, self.engine.fit(states, problems, self.C), strict=True):
            fit = choose(path, states, problem.rows["val"], problem.y["val"])
            if not fit.converged:
                log.warning("layer %s, label %s, C = %g: the solver did not converge", name, problem.label, fit.C)
            chosen.append(fit)
        return chosen

    def _guess(self, fit: Probe, states: States, problem: Problem) -> Guess:
        scores = {split: margins([fit], states, problem.rows[split])[0] for split in HELD_OUT}
        return Guess(scores, fit.C, len(self.C) > 1 and fit.C in (self.C[0], self.C[-1]))

    def _training_accuracy(
        self, fits: list[Probe], problems: list[Problem], states: States, repeats: int = 1
    ) -> Iterator[dict]:
        """Accuracy on the training rows, without interval; there are ``repeats`` fits per label."""
        hits = [
            predicted(margins([fit], states, problem.rows["train"])[0]) == problem.y["train"]
            for fit, problem in zip(fits, problems, strict=True)
        ]
        values = np.mean(np.reshape([hit.mean() for hit in hits], (repeats, -1)), axis=0)
        for problem, fit, value in zip(self.problems, fits, values, strict=False):
            groups = problem.groups["train"]
            yield _training_row(problem.label, "accuracy", (value, np.nan, np.nan), groups) | {"C": fit.C}
        if len(values) > 1:
            groups = np.concatenate([problem.groups["train"] for problem in self.problems])
            yield _training_row("macro", "accuracy", (values.mean(), np.nan, np.nan), groups)

    def _control_rows(
        self, states: States, fits: list[Probe], guesses: list[Guess], measured: Measured, name: str
    ) -> list[dict]:
        """Scores of the controls, and by how much the task's scores exceed them.

        A control has the C of the task's probe, so that both have the same capacity. Its own validation labels are
        random and would choose the C that learns least.
        """
        wanted = sorted({fit.C for fit in fits})
        problems, found = [], []
        for control in (problem for repeat in self._controls for problem in repeat):
            # Without validation rows, the engine fits every C and does not stop early.
            rows, y = ({"train": parts["train"]} for parts in (control.rows, control.y))
            problems.append(Problem(control.label, control.n_classes, control.items, control.groups, rows, y))
        for place, path in enumerate(self.engine.fit(states, problems, wanted)):
            fit = path[wanted.index(fits[place % len(fits)].C)]
            if not fit.converged:
                log.warning("layer %s, random labels of %s: the solver did not converge", name, problems[place].label)
            found.append(fit)
        controls = []
        for k, repeat in enumerate(self._controls):
            of_repeat = found[k * len(fits) : (k + 1) * len(fits)]
            guess = [self._guess(fit, states, problem) for fit, problem in zip(of_repeat, repeat, strict=True)]
            controls.append(self._scorer.measure(guess, repeat, dict.fromkeys(("accuracy", self.metric))))
        mean = {key: np.mean([each[key] for each in controls], axis=0) for key in controls[0]}
        above = {key: measured[key] - values for key, values in mean.items()}
        return [
            *_as("control", self._scorer.rows(mean, guesses)),
            *_as("control", self._training_accuracy(found, problems, states, len(self._controls))),
            *_as("selectivity", self._scorer.rows(above, guesses, differences=True)),
        ]

    def _resplit_rows(self, states: States, seed: str, problems: list[Problem], name: str) -> Iterator[dict]:
        """Values of the task's metric under another split, without intervals.

        States stay standardised by the training rows of the first split.
        """
        fits = self._chosen(states, problems, name)
        for split in HELD_OUT:
            values = [
                METRICS[self.metric].values(
                    problem.y[split],
                    margins([fit], states, problem.rows[split])[0],
                    np.ones((1, len(problem.y[split]))),
                    problem.n_classes,
                )[0]
                for fit, problem in zip(fits, problems, strict=True)
            ]
            row = {"split": split, "metric": self.metric, "low": np.nan, "high": np.nan, "at_boundary": False}
            row |= {"probe": "resplit", "split_seed": seed, "n_texts": 0}
            for fit, problem, value in zip(fits, problems, values, strict=True):
                groups = problem.groups[split]
                counts = {"n": len(groups), "n_groups": len(np.unique(groups))}
                yield row | counts | {"label": problem.label, "value": float(value), "C": fit.C}
            if len(problems) > 1:
                groups = np.concatenate([problem.groups[split] for problem in problems])
                counts = {"n": len(groups), "n_groups": len(np.unique(groups))}
                yield row | counts | {"label": "macro", "value": float(np.nanmean(values)), "C": np.nan}

    def _portion_rows(self, states: States, measured: Measured, name: str) -> tuple[list[dict], list[dict]]:
        """Description length, and the test score by number of training images, up to all of them."""
        by_size: dict[int, list[Probe | None]] = {}
        for size, problems in self._portions.items():
            # A portion that lacks a class has no probe; the next portion is then sent in the uniform code.
            whole = [len(np.unique(problem.y["train"])) == problem.n_classes for problem in problems]
            found = iter(self._chosen(states, list(compress(problems, whole)), name))
            by_size[size] = [next(found) if there else None for there in whole]
        curve = []
        for size, of_size in by_size.items():
            if any(of_size):
                curve += self._curve_rows(states, size, of_size)
        curve += self._learning_rows(len(self._order), self.problems, measured["test", self.metric])
        if not by_size:
            return [], curve
        sizes = list(by_size)
        codes = [
            code_length(problem, [by_size[size][k] for size in sizes], self._order, sizes, states)
            for k, problem in enumerate(self.problems)
        ]
        return list(code_rows([problem.label for problem in self.problems], codes)), curve

    def _curve_rows(self, states: States, size: int, fits: list[Probe | None]) -> list[dict]:
        """Test scores of the probes fitted to a portion. A label without a probe gets no row, and then no mean."""
        values = []
        for place, (problem, fit) in enumerate(zip(self.problems, fits, strict=True)):
            if fit is None:
                values.append(self._scorer.nothing("test"))
                continue
            scores = margins([fit], states, problem.rows["test"])[0]
            values.append(self._scorer.measure_label(place, scores, "test", self.metric))
        return self._learning_rows(size, self._portions[size], np.stack(values))

    def _learning_rows(self, size: int, problems: list[Problem], values: np.ndarray) -> list[dict]:
        rows = pd.DataFrame(self._scorer.rows({("test", self.metric): values}))
        learned = rows["value"].notna()
        rows = rows if learned.all() else rows[learned & (rows["label"] != "macro")]
        n_items = {problem.label: len(problem.y["train"]) for problem in problems}
        n_items["macro"] = sum(n_items.values())
        rows = rows.assign(train_groups=size, train_items=rows["label"].map(n_items))
        return rows[CURVE_COLUMNS].to_dict("records")


def _as(probe: str, rows: Iterable[dict]) -> list[dict]:
    return [{**row, "probe": probe} for row in rows]


def _training_row(label: str, metric: str, bounds: Sequence[float], groups: np.ndarray) -> dict:
    value, low, high = map(float, bounds)
    row = {"label": label, "split": "train", "metric": metric, "value": value, "low": low, "high": high}
    row |= {"n": len(groups), "n_groups": len(np.unique(groups)), "n_texts": 0}
    return row | {"C": float("nan"), "at_boundary": False}
