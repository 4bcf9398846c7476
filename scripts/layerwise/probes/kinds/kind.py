"""What a kind of probe is: a linear map from states to margins, and the engine that fits it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from layerwise.probes.fits import Fit
from layerwise.probes.problems import Problem, repeated


class ProbeEngine(Protocol):
    """Fits all problems of one layer, for all C. A training item counts as often as the problem says."""

    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Fit]]:
        """For each problem its fits in the order of ``C``, at least up to the one that has the least validation loss.

        A problem without validation rows gets a fit for each C.

        Args:
            states: shape (rows, width), standardised.
            problems: what to learn from which rows.
            C: inverse strengths of the penalty, ascending.

        Raises:
            InputError: on a problem whose training rows lack one of its classes.
        """
        ...


@dataclass(frozen=True)
class ProbeKind:
    """An entry of :data:`layerwise.probes.kinds.catalogue.PROBE_KINDS`.

    Attributes:
        name: as studies say it.
        engine: starts the engine that fits, from a number of threads and the bytes of memory that it may take.
        uses_card: whether it is faster on a GPU.
        has_penalty: whether C changes the fit. Otherwise one C is tried.
        takes_counts: whether the engine heeds how often a training item counts (``Problem.counts``). For another one,
            :meth:`start` repeats the items.
    """

    name: str
    engine: Callable[[int, int], ProbeEngine]
    uses_card: bool = False
    has_penalty: bool = True
    takes_counts: bool = False

    def start(self, threads: int, budget_bytes: int) -> ProbeEngine:
        """An engine for all problems, also for those whose training items count more or less often than once.

        Args:
            threads: that it may use.
            budget_bytes: the memory that it may take.
        """
        engine = self.engine(threads, budget_bytes)
        return engine if self.takes_counts else _Repeats(engine)

    def tried(self, C: Sequence[float]) -> list[float]:
        """The C to fit for, ascending.

        Args:
            C: of the study.
        """
        return sorted(C) if self.has_penalty else [min(C)]


@dataclass(frozen=True)
class _Repeats:
    """An engine that takes no counts, given each training item as often as it counts."""

    engine: ProbeEngine

    def fit(self, states: np.ndarray, problems: list[Problem], C: list[float]) -> list[list[Fit]]:
        """See :meth:`ProbeEngine.fit`."""
        return self.engine.fit(states, list(map(repeated, problems)), C)
