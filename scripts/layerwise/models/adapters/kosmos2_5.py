"""Kosmos-2.5: like Kosmos-2, but its decoder takes a mask of tokens by tokens."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from transformers.cache_utils import Cache

from layerwise.models.adapters.generic import load_as
from layerwise.models.adapters.kosmos2 import Kosmos2Model
from layerwise.models.prefix.packing import PackedTexts


def load(description: dict[str, Any], device: str) -> "Kosmos25Model":
    """Load the model that ``model.json`` describes; see :func:`layerwise.models.adapters.generic.load_as`."""
    return load_as(Kosmos25Model, description, device)


def wrap(model: nn.Module, processor: Any, conversation: str) -> "Kosmos25Model":
    """Serve a model of transformers that was built elsewhere, with or without its weights."""
    return Kosmos25Model(model, processor, conversation)


class Kosmos25Model(Kosmos2Model):
    """Kosmos-2.5 behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    goes_on = True

    def find_image_token(self) -> str:
        """The token with which the processor begins the image; a prompt must not hold it."""
        return self.processor.image_start_token

    def image_tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The processor marks them by 1; the two tokens around the image have -1."""
        return inputs["image_embeds_position_mask"] == 1

    def continue_texts(self, packed: PackedTexts, prefix: Cache) -> None:
        """Run packed texts through the decoder, over the prefix's cache.

        The token behind the image counts as part of it, even where it is the first after the prefix.
        """
        behind = packed.prefix + packed.places == 2 + self.processor.num_image_tokens
        self.decoder(
            input_ids=packed.ids,
            # Its positions begin after the padding token's id.
            position_ids=packed.positions + self.decoder.embed_positions.padding_idx + 1,
            image_embeds_position_mask=behind.long(),
            attention_mask=packed.mask(self.dtype),
            past_key_values=prefix,
            use_cache=True,
        )
