"""``cut-image``: in some blocks no token behind the image attends to the image's tokens.

Attention knockout as in Geva et al. 2023 (arXiv 2304.14767, section 3); see :mod:`layerwise.models.attention_mask`.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from layerwise.config.base import Either, Exactly, Maybe, Section, whole
from layerwise.errors import InputError
from layerwise.models.interventions.kind import How, InterventionKind, Tokens

if TYPE_CHECKING:
    from torch import nn

THIRDS = ("lower", "middle", "upper")

Block = Annotated[int, whole(1)]
Picture = Annotated[int, whole(1)]
CutBlocks = Annotated[
    Literal["lower", "middle", "upper"] | Annotated[list[Block], Exactly(2)],
    Either("one of lower, middle, upper, or [first, last]"),
]


class Entry(Section):
    """In these blocks no token behind the image attends to the image's tokens (attention knockout, arXiv
    2304.14767)."""

    blocks: CutBlocks
    """A third of the decoder, or [first, last]."""
    image: Maybe[Picture] = None
    """The number of the picture whose tokens are cut off, also from the tokens of later pictures. Default: every
    picture."""


def _check(where: str, how: How, n_layers: int | None) -> None:
    if n_layers is not None:
        cut_blocks(how["blocks"], n_layers, f"{where}.blocks")


def _blocks(how: How, n_layers: int) -> range:
    return cut_blocks(how["blocks"], n_layers, "blocks")


def cut_blocks(blocks: str | Sequence[int], n_layers: int, where: str) -> range:
    """Which blocks a cut is in, counted from 1.

    Args:
        blocks: a third of the decoder, or its first and last block.
        n_layers: decoder blocks.
        where: the key, for errors.

    Raises:
        InputError: when there are no such blocks.
    """
    if isinstance(blocks, str):
        third = THIRDS.index(blocks)
        first, last = round(third * n_layers / 3) + 1, round((third + 1) * n_layers / 3)
        if n_layers < len(THIRDS):
            raise InputError(f"{where}: {n_layers} blocks have no thirds; give [first, last]")
    else:
        first, last = blocks
    if not 1 <= first <= last <= n_layers:
        raise InputError(f"{where}: there are no blocks {first} to {last}; the model has blocks 1 to {n_layers}")
    return range(first, last + 1)


@contextmanager
def _apply(how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> Iterator[None]:
    import torch

    from layerwise.models.attention_mask import attention_cut

    cut = [blocks[number - 1] for number in _blocks(how, len(blocks))]
    with ExitStack() as cuts:
        for image, before in tokens.of_pictures(how.get("image")):
            seen = image if before is None else torch.cat([before, image], dim=1)
            # Tokens before the image do not see it anyway; padding there may see nothing else that could be left.
            behind = seen.cumsum(1)[:, -image.shape[1] :] > 0
            cuts.enter_context(attention_cut(cut, behind & ~image, seen))
        yield


KIND = InterventionKind(
    name="cut-image",
    touches_image=True,
    check=_check,
    apply=_apply,
    figure="image-ablation",
    cut_blocks=_blocks,
    everywhere=lambda n_layers: {"blocks": [1, n_layers]},
)
