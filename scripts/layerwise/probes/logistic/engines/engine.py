"""What a solver of logistic regression says of itself."""

from collections.abc import Callable
from dataclasses import dataclass

from layerwise.probes.engine import ProbeEngine


@dataclass(frozen=True)
class Engine:
    """An entry of :data:`layerwise.probes.logistic.engines.catalogue.ENGINES`.

    Attributes:
        name: as studies say it.
        start: starts what fits, from a number of threads and the bytes of memory that it may take.
        uses_card: whether it is faster on a GPU.
    """

    name: str
    start: Callable[[int, int], ProbeEngine]
    uses_card: bool = False
