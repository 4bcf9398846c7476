"""A tested family: what a row of ``FAMILIES`` says."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.families import family_of
from layerwise.models.opening import wrap_model
from tests.families.common import Built


@dataclass(frozen=True)
class Family:
    """A family, or one of its kinds, as docs/families.md describes it.

    Attributes:
        name: the name that its makers gave it. Entries of one name are kinds of one family.
        build: makes the tiny model and its processor.
        enters: how the image enters the decoder, as far as this needs other code. `make test` runs the first family of
            each way, `make test-all` every family; see :func:`of_each_way`.
        not_shared: why several prompts about one image are not run over one prefix; empty if they are.
        needs_image: whether a text without an image is refused.
        note: what else a reader of its states should know.
        changed_processor: how its processor differs from the published one, so that a model loaded from a folder would
            have another; empty if it does not.
        alone: why inputs run one by one; empty if they run in batches.
        one_picture: whether it is shown no more than one picture in a text.
        joins_blocks: whether its final norm reads the outputs of several blocks, not of the last one alone.
        gain: multiplies the weights, so that layers differ and a mistake in one of them shows.
    """

    name: str
    build: Callable[[], Built]
    enters: str
    not_shared: str = ""
    needs_image: bool = False
    note: str = ""
    changed_processor: str = ""
    alone: str = ""
    one_picture: bool = False
    joins_blocks: bool = False
    gain: float = 3.0

    def frozen(self) -> GenericModel:
        """The tiny model behind its adapter."""
        return frozen(self.build, gain=self.gain)


# The ways in which an image enters the decoder.
PROJECTOR = "a projector makes tokens of a picture's patches"
WINDOWS = "a projector; all layers of the decoder see no further than a window"
SOME_WINDOWS = "a projector; some layers of the decoder see no further than a window"
TILES = "tiles and the whole picture, in one run of tokens"
TILES_IN_TEXT = "tiles and the whole picture, with text between them"
NATIVE = "as many tokens as the picture's size gives"
IN_BLOCKS = "in its own size, and again behind the first blocks"
SOME_EXPERTS = "in its own size; some blocks of the decoder are mixtures of experts"
QUERIES = "learned queries look at the picture"
TEXT_QUERIES = "learned queries look at the text and the picture"
PUT_FIRST = "learned queries; the processor puts the image before every text"
BOTH_WAYS = "image and text see one another both ways"
IMAGE_BOTH_WAYS = "the image sees itself both ways"
CODES = "the picture is spelled in a codebook"
CODES_ALONE = "the picture is spelled in a codebook, by padding too, so that each input runs by itself"
ACROSS = "some blocks read the picture by cross-attention"
OWN_ADAPTER = "an adapter of its own"
HYBRID = "some blocks carry states from token to token without attention"

# Why prompts share no prefix.
RECURRENT = "some of its blocks carry a state from token to token, and texts packed in one row would pass it on"
CONVOLUTIONS = "its convolutions carry states from each token to the next ones"
INDEXER = "an indexer with keys of its own chooses what each token attends to, and no cache here holds these keys"

# Notes of several families.
DEEPSTACK = (
    "as in Qwen3-VL, features of the vision tower are added to the image tokens after the first blocks, behind the "
    "states that are read"
)
TIES = "its indexer breaks ties between tokens by their place in the row, which padding moves, so inputs run one by one"

# Why inputs run one by one.
BATCH_DECIDES = "states depend on what else is in a batch"
NO_BATCH = "a batch cannot be prepared"


def of_each_way(families: Sequence[Family]) -> list[Any]:
    """Families as a test's parameters; `make test` runs the first of each way, `make test-all` all of them."""
    first = {family.enters: family for family in reversed(families)}
    return [
        pytest.param(
            family, marks=[] if first[family.enters] is family else pytest.mark.whole, id=family.build.__name__
        )
        for family in families
    ]


def frozen(build: Callable[[], Built], seed: int = 0, gain: float = 3.0) -> GenericModel:
    """A family's tiny model behind its adapter, with weights from ``seed``."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model, processor = build()
        for name, parameter in model.named_parameters():
            # All experts of a block are one parameter.
            if parameter.dim() == 2 or (parameter.dim() == 3 and "experts" in name):
                parameter.mul_(gain)
            # Some families begin with projections or gates of zero, which make all images equal.
            if not parameter.any():
                parameter.fill_(0.5) if parameter.numel() == 1 else parameter.normal_(std=0.02)
    adapter = family_of(model.config.model_type).adapter
    return wrap_model(adapter, model.eval().requires_grad_(False), processor, "auto")
