"""How much a score depends on the training images: probes are fitted again to draws of the training groups.

A plain interval takes the fitted probe as given: how good is *this* probe? Whether *a* probe fitted to so many images
reads the layer that well is another question, and with few training images its answer is less certain.

Training groups (images) are drawn with replacement (Efron 1979, doi:10.1214/aos/1176344552), and an item counts as
often as its group was drawn. C stays the one that was chosen for the label. All layers have the same draws, so that
differences of layers are paired. :class:`layerwise.probes.bootstrap.Redrawn` says how the variance over draws is added
to that over test images.

A draw holds only 63 % of the groups, so its probe is a little worse than the ordinary one, and varies more than probes
of new images would. The value is therefore the ordinary score, and the intervals err on the long side.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from layerwise.probes.all_layers import States
from layerwise.probes.bootstrap import difference_interval, resample_weights
from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import Probe, margins
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.problems import Problem
from layerwise.probes.scoring import Guess, Scorer

log = logging.getLogger(__name__)

SCORE, ABOVE_TOP = "redrawn", "redrawn_above_top"


@dataclass(frozen=True)
class _Headline:
    """What a layer's score for the whole task is compared by.

    Attributes:
        values: the score and its resamples, shape (1 + R,).
        draws: those of the probes of all draws, shape (N, 1 + R).
        row: the layer's row of scores.
    """

    values: np.ndarray
    draws: np.ndarray
    row: dict


class TrainingDraws:
    """Fits the probes of each layer again to draws of the training groups, and scores them on the test split."""

    def __init__(
        self, problems: list[Problem], engine: ProbeEngine, scorer: Scorer, metric: str, draws: int, seed: int
    ):
        """
        Args:
            problems: the task's labels.
            engine: fits the probes.
            scorer: of the problems.
            metric: the task's.
            draws: number of draws.
            seed: of the draws.
        """
        self.problems, self.engine, self.metric = problems, engine, metric
        self._scorer = scorer
        groups = np.unique(np.concatenate([problem.groups["train"] for problem in problems]))
        rng = np.random.default_rng([seed, len(groups), 1])
        # Groups are drawn once for all labels together, so that an image is in or out for every label.
        drawn = resample_weights(np.arange(len(groups)), draws, rng)
        self._n_groups, self._n_draws = len(groups), draws
        self._counts = [drawn[:, np.searchsorted(groups, problem.groups["train"])] for problem in problems]
        self._headlines: list[_Headline] = []

    def layer(
        self, states: States, fits: list[Probe], guesses: list[Guess], values: np.ndarray, name: str
    ) -> list[dict]:
        """Score rows of a layer with intervals that include the training groups.

        Args:
            states: shape (rows, width), standardised.
            fits: the chosen probe of each label.
            guesses: give C and whether it is at the grid's end.
            values: test scores of these probes and their resamples, shape (labels, 1 + R).
            name: of the layer, for warnings.
        """
        found = self._fits(states, fits, name)
        draws = np.stack([self._values(place, of_label, states) for place, of_label in enumerate(found)])
        rows = list(self._scorer.rows({("test", self.metric): values}, guesses))
        if len(rows) > 1:
            values, draws = _with_mean(values, draws)
        for row, of_label, of_draws in zip(rows, values, draws, strict=True):
            units = self._scorer.redrawn("test", row["label"], of_draws, self._n_groups)
            resampled, _ = self._scorer.evidence("test", row["label"], of_label)
            row["low"], row["high"] = METRICS[self.metric].interval(row["value"], resampled, units)
        # The last row stands for the whole task: its only label, or the mean over labels.
        self._headlines.append(_Headline(values[-1], draws[-1], rows[-1]))
        return rows

    def above_top(self, top: int) -> pd.DataFrame:
        """Score rows of the differences of all layers so far from the topmost block, paired over draws.

        Args:
            top: index of the topmost block.
        """
        reference, rows = self._headlines[top], []
        for layer, headline in enumerate(self._headlines):
            label, values = headline.row["label"], headline.values - reference.values
            units = self._scorer.redrawn("test", label, headline.draws - reference.draws, self._n_groups)
            resampled, _ = self._scorer.evidence("test", label, values)
            bound = METRICS[self.metric].greatest_difference
            low, high = difference_interval(float(values[0]), resampled, units, bound)
            rows.append(headline.row | {"layer": layer, "value": float(values[0]), "low": low, "high": high})
        return pd.DataFrame(rows).assign(probe=ABOVE_TOP)

    def _fits(self, states: States, fits: list[Probe], name: str) -> Iterator[list[Probe | None]]:
        """By label, the probes of all draws; None where a draw lacks a class."""
        found: dict[tuple[int, int], Probe] = {}
        # Labels of one C are solved together, and all draws of a label share its rows.
        for C in sorted({fit.C for fit in fits}):
            places = [place for place, fit in enumerate(fits) if fit.C == C]
            keys = [
                (place, draw) for place in places for draw in range(self._n_draws) if self._has_classes(place, draw)
            ]
            problems = [self._drawn(*key) for key in keys]
            paths = self.engine.fit(states, problems, [C]) if problems else []
            found |= {key: path[0] for key, path in zip(keys, paths, strict=True)}
        if unconverged := sum(not fit.converged for fit in found.values()):
            log.warning(
                "layer %s, draws of training images: %d of %d fits did not converge", name, unconverged, len(found)
            )
        for place in range(len(fits)):
            yield [found.get((place, draw)) for draw in range(self._n_draws)]

    def _has_classes(self, place: int, draw: int) -> bool:
        problem, counts = self.problems[place], self._counts[place][draw]
        return len(np.unique(problem.y["train"][counts > 0])) == problem.n_classes

    def _drawn(self, place: int, draw: int) -> Problem:
        """A label's problem with the counts of a draw, without validation rows: C is chosen already."""
        problem = self.problems[place]
        rows, y = ({"train": parts["train"]} for parts in (problem.rows, problem.y))
        return replace(problem, rows=rows, y=y, counts=self._counts[place][draw])

    def _values(self, place: int, fits: list[Probe | None], states: States) -> np.ndarray:
        """Test scores of a label's probes and their resamples, shape (N, 1 + R); NaN without a probe."""
        values = np.tile(self._scorer.nothing("test"), (len(fits), 1))
        if not any(fits):
            return values
        there = [draw for draw, fit in enumerate(fits) if fit is not None]
        scores = margins([fit for fit in fits if fit is not None], states, self.problems[place].rows["test"])
        for draw, of_draw in zip(there, scores, strict=True):
            values[draw] = self._scorer.measure_label(place, of_draw, "test", self.metric)
        return values


def _with_mean(values: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Values (labels, 1 + R) and draws (labels, N, 1 + R) with their means over labels behind them.

    A label on which the metric is not defined has no say in the mean. A draw in which another label has no probe has no
    mean: the mean over fewer labels would be another quantity.
    """
    defined = ~np.isnan(values[:, 0])
    of_draws = np.nanmean(draws[defined], axis=0)
    of_draws[np.isnan(draws[defined, :, 0]).any(axis=0)] = np.nan
    return np.vstack([values, np.nanmean(values, axis=0)]), np.concatenate([draws, of_draws[None]])
