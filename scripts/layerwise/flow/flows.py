"""Which attention is blocked: between which positions, and in which blocks."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Flow:
    """Information flow from one set of positions to another, which blocking the attention between them stops.

    Attributes:
        source, target: names of sets in :class:`layerwise.flow.positions.PositionSets`; the target looks at the source.
        called: its name, if not ``source->target``.
    """

    source: str
    target: str
    called: str = ""

    @property
    def name(self) -> str:
        """Such as ``image->question``."""
        return self.called or f"{self.source}->{self.target}"


# Figures 2 to 4 of the paper.
FLOWS = (
    Flow("question", "last"),
    Flow("image", "last"),
    Flow("image", "question"),
    Flow("last", "last"),
    Flow("object", "question"),
    Flow("other", "question"),
)
# Those that only questions with boxes have.
OF_OBJECTS = ("object", "other")


def picture_set(number: int) -> str:
    """The name of one picture's set, for questions about several. Pictures count from 1."""
    return f"image {number}"


def span_set(span: str) -> str:
    """The name of the set of a named span, some words of the question."""
    return f"span:{span}"


def rest_set(span: str) -> str:
    """The name of the set of what follows a span in the question."""
    return f"rest:{span}"


def flows_of(pictures: Sequence[int] = (1,), spans: Sequence[str] = (), boxes: bool = True) -> list[Flow]:
    """The flows of a set of questions, in the order of its tables and figures.

    Args:
        pictures: the numbers of the pictures that each question shows, in the order of the text.
        spans: names of spans, words of the question.
        boxes: whether questions say where their objects are.
    """
    flows = [flow for flow in FLOWS if boxes or flow.source not in OF_OBJECTS]
    if len(pictures) > 1:
        for number in sorted(pictures):
            flows += [Flow(picture_set(number), target) for target in ("question", "last")]
        # A picture can look at those before it only.
        flows += [
            Flow(picture_set(before), picture_set(later))
            for place, later in enumerate(pictures)
            for before in pictures[:place]
        ]
    for span in spans:
        name = span_set(span)
        flows += [Flow("image", name), *([Flow("object", name)] if boxes else []), Flow(name, "last")]
        # The span's own tokens go on looking at each other.
        flows.append(Flow(name, rest_set(span), f"{name}->question"))
    return flows


def windows(n_layers: int, width: int) -> list[range]:
    """Windows of ``width`` blocks, one centred on each block, cut off at both ends of the model.

    Blocks count from 0. A window of even width has one more block below its centre than above it, as in the code of
    Geva et al. 2023 (arXiv 2304.14767), whose windows the paper uses.
    """
    first = -(width // 2)
    return [range(max(0, centre + first), min(n_layers, centre + first + width)) for centre in range(n_layers)]
