"""``bypass``: what a block gives is added again to what a later one gives, past all blocks between them."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from layerwise.config.base import Maybe, Number, Section, whole
from layerwise.errors import InputError
from layerwise.models.interventions.entry_checks import check_blocks
from layerwise.models.interventions.kind import How, InterventionKind, Tokens

if TYPE_CHECKING:
    from torch import Tensor, nn

Block = Annotated[int, whole(1)]
LaterBlock = Annotated[int, whole(2)]


class Entry(Section):
    """Add a block's output, times `scale`, to that of a later block: what is known in between skips the blocks above
    it."""

    from_: Block = Field(alias="from")
    """The block whose output is added."""
    into: Maybe[LaterBlock] = None
    """The block to whose output it is added. Default: the last block."""
    scale: Number
    """Factor."""


def _check(where: str, how: How, n_layers: int | None) -> None:
    if how["scale"] == 0:
        raise InputError(f"{where}.scale: 0 adds nothing; give another factor")
    check_blocks(where, how, ("from", "into"), n_layers)
    into = how.get("into", n_layers)
    if into is not None and how["from"] >= into:
        raise InputError(f"{where}.from: block {how['from']} is not below block {into}, which it is routed into")


@contextmanager
def _apply(how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> Iterator[None]:
    with bypass(blocks, how["from"], how.get("into", len(blocks)), how["scale"]):
        yield


@contextmanager
def bypass(blocks: "Sequence[nn.Module]", source: int, into: int, scale: float) -> Iterator[None]:
    """Add ``scale`` times the output of block ``source`` to that of block ``into``, at all tokens; counted from 1."""
    from layerwise.models.frozen import hidden_out

    routed: list[Tensor] = []

    def keep(_block: "nn.Module", _args: tuple, output: Any) -> None:
        routed[:] = [hidden_out(output)]

    def add(_block: "nn.Module", _args: tuple, output: Any) -> Any:
        hidden = hidden_out(output)
        hidden = hidden + scale * routed.pop().to(hidden.device)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    with ExitStack() as hooks:
        hooks.callback(blocks[source - 1].register_forward_hook(keep, prepend=True).remove)
        hooks.callback(blocks[into - 1].register_forward_hook(add, prepend=True).remove)
        yield


KIND = InterventionKind(
    name="bypass",
    touches_image=False,
    check=_check,
    apply=_apply,
    figure="bypass",
)
