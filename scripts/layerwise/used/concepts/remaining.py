"""What probes still find of a concept after it was erased, on the rows that the eraser was fitted on and on others."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from layerwise.models.interventions.concept_file import Change
from layerwise.probes.logistic.engines.catalogue import ENGINES
from layerwise.probes.metrics.catalogue import METRICS
from layerwise.probes.metrics.metric import Metric
from layerwise.probes.problems import Problem, Standardisation

# Metrics for two classes and for more, and the solver.
SCORED, ENGINE = ("roc_auc", "balanced_accuracy"), "sklearn"
# Numbers of a split that are erased and probed at most. At width 4096 these are 16384 rows, and a fit takes seconds.
MOST_NUMBERS = 2**26
# Decimals of margins that count. A probe that found nothing has margins that differ by rounding alone, and a ranking of
# them says nothing.
DECIMALS = 3


@dataclass(frozen=True)
class Rows:
    """Rows of a layer, by split, and their classes.

    Attributes:
        rows: by split, shape (n,).
        y: by split, class indices, shape (n,).
        n_classes: K.
    """

    rows: Mapping[str, np.ndarray]
    y: Mapping[str, np.ndarray]
    n_classes: int

    @property
    def metric(self) -> Metric:
        """What probes are scored by: of either metric, chance does not depend on how frequent classes are."""
        return METRICS[SCORED[0] if self.n_classes == 2 else SCORED[1]]

    def sample(self, width: int, seed: int) -> "Rows":
        """Rows whose states hold at most :data:`MOST_NUMBERS` numbers in each split.

        Others are drawn; but of the training rows all are taken or none. An eraser takes the concept from all of them
        together, and a probe would find in a part of them what sets it apart from the rest.
        """
        most, chosen = max(1, MOST_NUMBERS // width), {}
        for split, rows in self.rows.items():
            if split != "train" or len(rows) <= most:
                chosen[split] = np.sort(np.random.default_rng([seed, *split.encode()]).permutation(len(rows))[:most])
        return Rows(
            {split: self.rows[split][which] for split, which in chosen.items()},
            {split: self.y[split][which] for split, which in chosen.items()},
            self.n_classes,
        )


def remaining(states: np.ndarray, rows: Rows, change: Change, C: float) -> dict[str, float | None]:
    """Scores of logistic probes that are fitted to erased states.

    Args:
        states: of a layer as they are, shape (all rows, d), float32.
        rows: those that count.
        change: the eraser.
        C: inverse strength of the penalty, for standardised states.

    Returns:
        ``train``: of a probe fitted to the training rows, on these; at chance if the eraser does what it should.
        ``test``: of the same probe on the test rows. ``fresh``: on the test rows, of a probe fitted to the validation
        rows, which the eraser has not seen: what is left of the concept for who looks for it anew. None where a
        split is left out or lacks a class.
    """
    erased = {split: change.of(states[of_split]) for split, of_split in rows.rows.items()}
    found: dict[str, float | None] = {}
    for fitted_to, scored in (("train", {"train": "train", "test": "test"}), ("val", {"fresh": "test"})):
        for name, margins in _margins(erased, rows, fitted_to, scored, C).items():
            found[name] = None
            if margins is not None:
                found[name] = score(rows.y[scored[name]], margins, rows.n_classes, rows.metric)
    return found


def score(y: np.ndarray, margins: np.ndarray, n_classes: int, metric: Metric) -> float | None:
    """A metric of margins, shape (n, 1) or (n, K), with ties where they differ by rounding; None where undefined."""
    value = metric.values(y, np.round(margins, DECIMALS), np.ones((1, len(y))), n_classes)[0]
    return float(value) if np.isfinite(value) else None


def _margins(
    erased: Mapping[str, np.ndarray], rows: Rows, fitted_to: str, scored: Mapping[str, str], C: float
) -> dict[str, np.ndarray | None]:
    """Margins of a probe that is fitted to one split, by the name of each score."""
    y, states = rows.y.get(fitted_to, np.empty(0, int)), erased.get(fitted_to)
    if states is None or len(np.unique(y)) < rows.n_classes:
        return dict.fromkeys(scored)
    every = np.arange(len(y))
    standardisation = Standardisation.of(states, every)
    problem = Problem("erased", rows.n_classes, {}, {}, {"train": every}, {"train": y})
    ((fit,),) = ENGINES[ENGINE].start(1, 0).fit(standardisation.apply(states.copy()), [problem], [C])
    return {
        name: fit.scores(standardisation.apply(erased[split].copy())) if split in erased else None
        for name, split in scored.items()
    }
