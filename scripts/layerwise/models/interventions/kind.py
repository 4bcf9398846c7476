"""What a kind of intervention says of itself. Imports no torch: models are registered without it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

# A config entry of one kind, such as ``{"from": 4, "with": "zero"}``.
How = Mapping[str, Any]
# The key under which an entry gets the path of its fitted file when it is carried out. The config never has it.
FILE = "file"


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
        picture: the number of the picture whose token it is, 0 at all others; None where no input shows several.
        picture_before: ``picture`` of the tokens of ``before``.
    """

    image: "Tensor | None"
    before: "Tensor | None"
    last: "Tensor"
    text: "Tensor"
    picture: "Tensor | None" = None
    picture_before: "Tensor | None" = None

    def of_pictures(self, number: int | None = None) -> "Iterator[tuple[Tensor, Tensor | None]]":
        """What ``image`` and ``before`` are of each picture by itself.

        Args:
            number: of one picture; None for all of them.

        Raises:
            ValueError: where it is not known which tokens are the image's.
        """
        if self.image is None:
            raise ValueError("an intervention on the image needs to know where its tokens are")
        here, earlier = self.picture, self.picture_before
        if here is None and earlier is None:
            if number in (None, 1):
                yield self.image, self.before
            return
        here = self.image.long() if here is None else here
        earlier = earlier if earlier is not None or self.before is None else self.before.long()
        most = max(int(part.max()) for part in (here, earlier) if part is not None)
        for one in range(1, most + 1) if number is None else (number,):
            yield here == one, None if earlier is None else earlier == one


class Apply(Protocol):
    """Intervene while a block of code runs."""

    def __call__(self, how: How, blocks: "Sequence[nn.Module]", tokens: Tokens) -> AbstractContextManager[None]:
        """Hook the decoder.

        The hooks come before all others on a block, so that what is read of it, here or by the family's own forward
        pass, is what the intervention left. They are gone when the context ends.

        Args:
            how: the config entry, with the path of its fitted file (:data:`FILE`) if its kind needs one.
            blocks: the decoder's.
            tokens: of this forward pass.
        """
        ...


@dataclass(frozen=True)
class InterventionKind:
    """A kind of intervention.

    Attributes:
        name: its key in the config, below ``models.NAME.intervention``.
        touches_image: whether it changes what the image's tokens hold or who sees them, whatever an entry says. It then
            needs an image, and a family whose image is in these tokens alone. See :meth:`on_image`.
        check: refuses an entry by what the schema cannot see. Called as ``check(where, how, n_layers)`` with the key
            for messages; ``n_layers`` is None before the model is known. Raises an InputError.
        apply: carries it out.
        figure: the figure that compares its models with those without; None where only Table 3 does.
        cut_blocks: for a kind that masks scores between tokens, the blocks in which an entry does so in a decoder of so
            many blocks, counted from 1. These blocks must have such scores. None for other kinds.
        everywhere: for a kind that touches the image, the entry that keeps all of the image out in a decoder of so many
            blocks: with it the last token's state must not depend on the picture. None for other kinds.
        fitted: what it needs a fitted file of: ``concept`` or ``route``; None for kinds that need none. An entry of a
            concept names its ``task``, ``prompt``, ``block`` and ``at`` which tokens.
    """

    name: str
    touches_image: bool
    check: Callable[[str, How, int | None], None]
    apply: Apply
    figure: str | None = None
    cut_blocks: Callable[[How, int], range] | None = None
    everywhere: Callable[[int], How] | None = None
    fitted: Literal["concept", "route"] | None = None

    def on_image(self, how: How) -> bool:
        """Whether an entry changes what the image's tokens hold or who sees them."""
        return self.touches_image or how.get("at") == "image"

    @property
    def cuts_attention(self) -> bool:
        """Whether it masks scores between tokens."""
        return self.cut_blocks is not None
