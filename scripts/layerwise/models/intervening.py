"""Interventions on a decoder while it runs: hooks on its blocks, gone when the forward pass is over.

They come before all other hooks on a block, so that what is read of it, here or by the family's own forward pass, is
what the intervention left.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from layerwise.models.attention_mask import attention_cut
from layerwise.models.frozen import hidden_in, hidden_out, mean_over
from layerwise.models.interventions import cut_blocks


class Intervention:
    """An intervention on a model; see ``models.*.intervention`` in the config's schema.

    Attributes:
        kind: its key in the config.
        on_image: whether it needs to know where the image's tokens are.
    """

    def __init__(self, intervention: dict[str, Any], blocks: Sequence[nn.Module]):
        """
        Args:
            intervention: one kind, checked by :func:`layerwise.models.interventions.check_intervention`.
            blocks: the decoder's.
        """
        ((self.kind, self._how),) = intervention.items()
        self._blocks = blocks
        self.on_image = self.kind != "bypass"

    @contextmanager
    def applied(self, image: Tensor | None, before: Tensor | None = None) -> Iterator[None]:
        """Intervene while the block runs.

        Args:
            image: true at the image's tokens in this forward pass, shape (batch, tokens); None where ``on_image`` is
                false.
            before: the same of the tokens whose keys and values are kept from an earlier pass, shape (batch, tokens).
        """
        if self.kind == "bypass":
            with bypass(self._blocks, self._how["from"], self._how.get("into", len(self._blocks)), self._how["scale"]):
                yield
        elif self.kind == "ablate-image":
            with image_ablated(self._blocks[self._how["from"] - 1 :], image, self._how["with"]):
                yield
        else:
            cut = [self._blocks[i - 1] for i in cut_blocks(self._how["blocks"], len(self._blocks), "blocks")]
            seen = image if before is None else torch.cat([before, image], dim=1)
            # Tokens before the image do not see it anyway; padding there may see nothing else that could be left.
            behind = seen.cumsum(1)[:, -image.shape[1] :] > 0
            with attention_cut(cut, behind & ~image, seen):
                yield


@contextmanager
def bypass(blocks: Sequence[nn.Module], source: int, into: int, scale: float) -> Iterator[None]:
    """Add ``scale`` times the output of block ``source`` to that of block ``into``, at all tokens; counted from 1."""
    routed: list[Tensor] = []

    def keep(_block: nn.Module, _args: tuple, output: Any) -> None:
        routed[:] = [hidden_out(output)]

    def add(_block: nn.Module, _args: tuple, output: Any) -> Any:
        hidden = hidden_out(output)
        hidden = hidden + scale * routed.pop().to(hidden.device)
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    with ExitStack() as hooks:
        for block, hook in ((blocks[source - 1], keep), (blocks[into - 1], add)):
            hooks.callback(block.register_forward_hook(hook, prepend=True).remove)
        yield


@contextmanager
def image_ablated(blocks: Sequence[nn.Module], image: Tensor, by: str) -> Iterator[None]:
    """Before each of the blocks, replace the hidden states at the image's tokens.

    Args:
        blocks: to replace before.
        image: true at the image's tokens, shape (batch, tokens).
        by: ``zero``, or ``mean`` for the mean over the image's own tokens, as they are before that block.
    """
    replacement: Callable[[Tensor], Tensor] = (
        mean_over(image) if by == "mean" else lambda hidden: hidden.new_zeros(len(hidden), hidden.shape[-1])
    )

    def ablate(_block: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        hidden = hidden_in(args, kwargs)
        instead = replacement(hidden).to(hidden.dtype)[:, None]
        ablated = torch.where(image.to(hidden.device)[..., None], instead, hidden)
        return ((ablated, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": ablated})

    with ExitStack() as hooks:
        # A text without an image has no mean over one.
        for block in blocks if image.any() else ():
            hooks.callback(block.register_forward_pre_hook(ablate, with_kwargs=True, prepend=True).remove)
        yield


def untouched(_image: Tensor | None, _before: Tensor | None = None) -> nullcontext[None]:
    """In place of :meth:`Intervention.applied`, for a model as it is."""
    return nullcontext()
