"""What a kind of probe says of itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from layerwise.probes.engine import ProbeEngine


@dataclass(frozen=True)
class ProbeKind:
    """An entry of :data:`layerwise.probes.kinds.catalogue.PROBE_KINDS`: a kind of reader of hidden states.

    Attributes:
        name: as studies say it.
        start: starts what fits, from a number of threads, the bytes of memory that it may take, and the study's seed.
        products: pairs of matrix products (one with the weights, one with the errors) of a label's training rows that
            fitting it takes, from the number of layers and the number of C that are tried; for the estimate of cost.
        C: inverse strengths of the penalty that it tries. Default - the study's.
        has_penalty: whether there is a penalty. Otherwise its rows have no C.
        reads_all_layers: whether one probe reads all layers at once.
        uses_card: whether it is faster on a GPU.
    """

    name: str
    start: Callable[[int, int, int], ProbeEngine]
    products: Callable[[int, int], float]
    C: tuple[float, ...] | None = None
    has_penalty: bool = True
    reads_all_layers: bool = False
    uses_card: bool = False

    def tried(self, C: Sequence[float]) -> list[float]:
        """The C to fit for, ascending. A kind without penalty is fitted once.

        Args:
            C: of the study.
        """
        tried = sorted(C if self.C is None else self.C)
        return tried if self.has_penalty else tried[:1]
