"""Which attention is blocked: between which positions, and in which blocks."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Flow:
    """Information flow from one set of positions to another, which blocking the attention between them stops.

    Attributes:
        source, target: names of sets in :class:`layerwise.flow.positions.PositionSets`; the target looks at the source.
    """

    source: str
    target: str

    @property
    def name(self) -> str:
        """Such as ``image->question``."""
        return f"{self.source}->{self.target}"


# Figures 2 to 4 of the paper.
FLOWS = (
    Flow("question", "last"),
    Flow("image", "last"),
    Flow("image", "question"),
    Flow("last", "last"),
    Flow("object", "question"),
    Flow("other", "question"),
)


def windows(n_layers: int, width: int) -> list[range]:
    """Windows of ``width`` blocks, one centred on each block, cut off at both ends of the model.

    Blocks count from 0. A window of even width has one more block below its centre than above it, as in the code of
    Geva et al. 2023 (arXiv 2304.14767), whose windows the paper uses.
    """
    first = -(width // 2)
    return [range(max(0, centre + first), min(n_layers, centre + first + width)) for centre in range(n_layers)]
