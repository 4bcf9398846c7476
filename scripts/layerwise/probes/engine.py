"""What fits probes, of whichever kind."""

from collections.abc import Sequence
from typing import Any, Protocol

from layerwise.probes.fits import Probe
from layerwise.probes.problems import Problem


class ProbeEngine(Protocol):
    """Fits all problems of one layer, for all C."""

    def fit(self, states: Any, problems: list[Problem], C: list[float]) -> Sequence[Sequence[Probe]]:
        """For each problem its fits in the order of ``C``, at least the one that has the least validation loss.

        A problem without validation rows gets a fit for each C.

        Args:
            states: shape (rows, width), standardised; of a kind that reads all layers at once,
                :class:`layerwise.probes.all_layers.AllLayers`.
            problems: what to learn from which rows.
            C: inverse strengths of the penalty, ascending.

        Raises:
            InputError: on a problem whose training rows lack one of its classes.
        """
        ...
