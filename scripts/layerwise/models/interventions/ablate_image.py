"""``ablate-image``: before each block from one on, the states of the image's tokens are replaced."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from layerwise.config.base import Maybe, Section, whole
from layerwise.models.interventions.entry_checks import check_blocks
from layerwise.models.interventions.kind import How, InterventionKind, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

Block = Annotated[int, whole(1)]
Picture = Annotated[int, whole(1)]


class Entry(Section):
    """Replace the hidden states at the image's tokens before a block and before each one above it."""

    from_: Block = Field(alias="from")
    """The first block that sees the replacement."""
    with_: Literal["mean", "zero"] = Field("mean", alias="with")
    """mean: the mean over the image's own tokens, so that all are alike; of several pictures, each has its own. zero:
    zeros."""
    image: Maybe[Picture] = None
    """The number of the picture whose tokens are replaced. Default: every picture."""


def _check(where: str, how: How, n_layers: int | None) -> None:
    check_blocks(where, how, ("from",), n_layers)


@contextmanager
def _apply(how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> Iterator[None]:
    with ExitStack() as ablated:
        for image, _ in tokens.of_pictures(how.get("image")):
            ablated.enter_context(image_ablated(blocks[how["from"] - 1 :], image, how["with"]))
        yield


@contextmanager
def image_ablated(blocks: "Sequence[nn.Module]", image: "Tensor", by: str) -> Iterator[None]:
    """Before each of the blocks, replace the hidden states at the image's tokens.

    Args:
        blocks: to replace before.
        image: true at the image's tokens, shape (batch, tokens).
        by: ``zero``, or ``mean`` for the mean over the image's own tokens, as they are before that block.
    """
    import torch

    from layerwise.models.frozen import hidden_in, mean_over

    replacement: Callable[[Tensor], Tensor] = (
        mean_over(image) if by == "mean" else lambda hidden: hidden.new_zeros(len(hidden), hidden.shape[-1])
    )

    def ablate(_block: "nn.Module", args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        hidden = hidden_in(args, kwargs)
        instead = replacement(hidden).to(hidden.dtype)[:, None]
        ablated = torch.where(image.to(hidden.device)[..., None], instead, hidden)
        return ((ablated, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": ablated})

    with ExitStack() as hooks:
        # A text without an image has no mean over one.
        for block in blocks if image.any() else ():
            hooks.callback(block.register_forward_pre_hook(ablate, with_kwargs=True, prepend=True).remove)
        yield


KIND = InterventionKind(
    name="ablate-image",
    touches_image=True,
    check=_check,
    apply=_apply,
    figure="image-ablation",
    everywhere=lambda n_layers: {"from": 1, "with": "zero"},
)
