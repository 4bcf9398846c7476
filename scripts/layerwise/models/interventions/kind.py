"""What a kind of intervention says of itself. Imports no torch: models are registered without it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

# A config entry of one kind, such as ``{"from": 4, "with": "zero"}``.
How = Mapping[str, Any]


@dataclass(frozen=True)
class Tokens:
    """What the tokens of one forward pass are. All masks have shape (batch, tokens).

    A whole pass has each text with its last token. Where texts share a prefix, one pass has the prefix, with no text's
    last token, and another has the rests of all texts in one row, with the last token of each.

    Attributes:
        image: true at the image's tokens; None for a model that is shown no image.
        before: ``image`` of the tokens whose keys and values are kept from an earlier pass, shape (batch, earlier
            tokens); None where there are none.
        last: true at the last token of each text.
        text: true at all tokens that are neither the image's nor padding.
    """

    image: "Tensor | None"
    before: "Tensor | None"
    last: "Tensor"
    text: "Tensor"


class Apply(Protocol):
    """Intervene while a block of code runs."""

    def __call__(self, how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> AbstractContextManager[None]:
        """Hook the decoder.

        The hooks come before all others on a block, so that what is read of it, here or by the family's own forward
        pass, is what the intervention left. They are gone when the context ends.

        Args:
            how: the config entry.
            blocks: the decoder's.
            tokens: of this forward pass.
        """
        ...


@dataclass(frozen=True)
class InterventionKind:
    """A kind of intervention.

    Attributes:
        name: its key in the config, below ``models.NAME.intervention``.
        touches_image: whether it changes what the image's tokens hold or who sees them. It then needs an image, and a
            family whose image is in these tokens alone.
        check: refuses an entry by what the schema cannot see. Called as ``check(where, how, n_layers)`` with the key
            for messages; ``n_layers`` is None before the model is known. Raises an InputError.
        apply: carries it out.
        figure: the figure that compares its models with those without; None where only Table 3 does.
        cut_blocks: for a kind that masks scores between tokens, the blocks in which an entry does so in a decoder of so
            many blocks, counted from 1. These blocks must have such scores. None for other kinds.
        everywhere: for a kind that touches the image, the entry that keeps all of the image out in a decoder of so many
            blocks: with it the last token's state must not depend on the picture. None for other kinds.
    """

    name: str
    touches_image: bool
    check: Callable[[str, How, int | None], None]
    apply: Apply
    figure: str | None = None
    cut_blocks: Callable[[How, int], range] | None = None
    everywhere: Callable[[int], How] | None = None

    @property
    def cuts_attention(self) -> bool:
        """Whether it masks scores between tokens."""
        return self.cut_blocks is not None
