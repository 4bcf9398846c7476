"""How the layers of a tower are named in its states file. No torch, for readers of the file.

The blocks of a tower may differ in width, and the projector's output is as wide as the decoder. So each layer and way
of pooling has a dataset of its own, of shape (1, rows, width).
"""

from collections.abc import Iterable
from typing import NamedTuple

TOWER, PROJECTOR, DECODER = "tower", "projector", "decoder"
# The projector's output is what the decoder gets: its embeddings, in the mean over the image's tokens.
IMAGE_MEAN = "image-mean"
# The one layer of each dataset.
LAYER = "picture"


class TowerLayer(NamedTuple):
    """One layer of a tower, or the projector.

    Attributes:
        depth: vision blocks count from 1, and 0 is the embeddings of the patches; the projector comes behind the last.
        part: tower or projector.
        pooling: patch-mean, class-token or image-mean.
    """

    depth: int
    part: str
    pooling: str

    @property
    def dataset(self) -> str:
        """Its name in the file."""
        return f"{self.depth:03d}.{self.part}.{self.pooling}"

    @property
    def name(self) -> str:
        """What it is called in tables."""
        if self.part == PROJECTOR:
            return PROJECTOR
        return f"vision block {self.depth}" if self.depth else "patch embeddings"


def layers_in(datasets: Iterable[str]) -> list[TowerLayer]:
    """The layers of a file: from the lowest up, class tokens before patches at each depth."""
    found = (name.split(".") for name in datasets)
    return sorted(TowerLayer(int(depth), part, pooling) for depth, part, pooling in found)
