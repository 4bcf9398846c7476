"""Kosmos-2: the image always comes first, put there by the processor, and the text decoder makes its own mask."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from torch import Tensor, nn
from transformers.cache_utils import Cache

from layerwise.models.adapters.generic import GenericModel, load_as
from layerwise.models.prefix.packing import PackedTexts


def load(description: dict[str, Any], device: str) -> "Kosmos2Model":
    """Load the model that ``model.json`` describes; see :func:`layerwise.models.adapters.generic.load_as`."""
    return load_as(Kosmos2Model, description, device)


def wrap(model: nn.Module, processor: Any, conversation: str) -> "Kosmos2Model":
    """Serve a model of transformers that was built elsewhere, with or without its weights."""
    return Kosmos2Model(model, processor, conversation)


class Kosmos2Model(GenericModel):
    """Kosmos-2 behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    # Its decoder gives blocks their mask by its place.
    goes_on = False

    def find_image_token(self) -> str:
        """The token with which the processor begins the image; a prompt must not hold it."""
        return self.processor.boi_token

    def image_is_put_first(self) -> bool:
        """The processor puts the image before every text."""
        return True

    def image_tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The processor says where they are: their ids belong to other words."""
        return inputs["image_embeds_position_mask"].bool()

    def token_ids(self, first: Sequence[int], prompts: Sequence[str], pictures: int = 1) -> None:
        """None: only the processor can tell, because it writes the image into the text."""
        return

    def forward(self, **inputs: Any) -> Any:
        """There is no base model without the output head, so the head is run on one token only."""
        return self.model(**inputs, logits_to_keep=1)

    def continue_texts(self, packed: PackedTexts, prefix: Cache) -> None:
        """The decoder takes only a mask of padding, so the packed mask replaces what it gives its blocks."""
        mask = packed.mask(self.dtype)

        def with_our_mask(_block, args, kwargs):
            hidden, _, *rest = args
            return (hidden, mask, *rest), kwargs

        with ExitStack() as hooks:
            for block in self.blocks:
                # Runs before all other hooks, so that an intervention cuts the packed mask.
                hook = block.register_forward_pre_hook(with_our_mask, with_kwargs=True, prepend=True)
                hooks.callback(hook.remove)
            self.decoder(
                input_ids=packed.ids,
                # Its positions begin after the padding token's id.
                position_ids=packed.positions + self.decoder.embed_positions.padding_idx + 1,
                past_key_values=prefix,
                use_cache=True,
            )
