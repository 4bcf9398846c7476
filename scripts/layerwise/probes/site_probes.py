"""Probes of what a block's attention and MLP add and of its single heads, each tested against chance."""

import logging
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtr

from layerwise.probes.bootstrap import Crossed, Units, error_and_freedom
from layerwise.probes.engine import ProbeEngine
from layerwise.probes.fits import choose, margins
from layerwise.probes.problems import Problem, standardise
from layerwise.probes.scoring import HELD_OUT, Guess, Scorer, majority_guess

log = logging.getLogger(__name__)


class SiteProbes:
    """Fits and scores the probes of a task, one site after the other, on the same resamples; without controls."""

    def __init__(
        self, problems: list[Problem], engine: ProbeEngine, C: Sequence[float], metric: str, resamples: int, seed: int
    ):
        """
        Args:
            problems: the task's labels.
            engine: what fits.
            C: inverse strengths of the penalty.
            metric: the task's.
            resamples: number of resamples of the bootstrap.
            seed: of the resamples.
        """
        self.problems, self.engine, self.C, self.metric = problems, engine, sorted(C), metric
        self._training_rows = np.unique(np.concatenate([problem.rows["train"] for problem in problems]))
        self._scorer = Scorer(problems, resamples, seed)
        self._chance = self._scorer.measure(list(map(majority_guess, problems)), metrics=[metric])

    def scores(self, states: np.ndarray, name: str) -> pd.DataFrame:
        """Fit and score on the states at one site of one block, or of one head.

        Args:
            states: shape (rows, width), float32; overwritten.
            name: of block and site, for warnings.

        Returns:
            ``label`` (``macro`` for the mean of several), ``split``, ``metric``, ``value``, ``low``, ``high``, ``C``,
            ``at_boundary``, ``n``, ``n_groups``, ``n_texts``; ``chance``, the majority baseline; and ``p_value`` of
            "it is not above chance", see :func:`chance_p_value`.
        """
        states = standardise(states, self._training_rows)
        guesses = []
        for problem, path in zip(self.problems, self.engine.fit(states, self.problems, self.C), strict=True):
            fit = choose(path, states, problem.rows["val"], problem.y["val"])
            if not fit.converged:
                log.warning("%s, label %s, C = %g: the solver did not converge", name, problem.label, fit.C)
            held_out = {split: margins([fit], states, problem.rows[split])[0] for split in HELD_OUT}
            guesses.append(Guess(held_out, fit.C, len(self.C) > 1 and fit.C in (self.C[0], self.C[-1])))
        measured = self._scorer.measure(guesses, metrics=[self.metric])
        rows = pd.DataFrame(self._scorer.rows(measured, guesses))
        chance, p_value = [], []
        for row in rows.itertuples():
            found, majority = (each[row.split, self.metric] for each in (measured, self._chance))
            of_site, of_chance = self._of_label(found, row.label), self._of_label(majority, row.label)
            chance.append(of_chance[0])
            above = of_site - of_chance
            p_value.append(chance_p_value(above[0], *self._scorer.evidence(row.split, row.label, above)))
        return rows.assign(chance=chance, p_value=p_value)

    def _of_label(self, values: np.ndarray, label: str) -> np.ndarray:
        """Value and resamples of one label, or of the mean over all: shape (1 + R,) of (labels, 1 + R)."""
        if label == "macro":
            return np.nanmean(values, axis=0)
        return values[[problem.label for problem in self.problems].index(label)]


def chance_p_value(above: float, resampled: np.ndarray, units: Units) -> float:
    """One-sided p-value of "not above chance": Student's t with the standard error of a bootstrap over groups.

    Near chance, where the test decides, a score and the majority's differ on many items, so that their difference is
    close to normal. If no resample changes the difference, a site that is no better than the majority is at chance; a
    better one has the p-value of a sign test in which all groups (or texts, if they are fewer) speak for it.

    Args:
        above: a score less that of the majority baseline, of the items as they are.
        resampled, units: of the same, see :func:`layerwise.probes.bootstrap.error_and_freedom`.
    """
    error, freedom = error_and_freedom(resampled, units)
    if not np.isfinite(above) or not np.isfinite(error):
        return float("nan")
    if error == 0:
        fewest = min(units.groups, units.distinct_texts) if isinstance(units, Crossed) else units
        return 0.5**fewest if above > 0 else 1.0
    return float(stdtr(freedom, -above / error))
