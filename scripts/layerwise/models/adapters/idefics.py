"""The first Idefics: its processor takes texts and pictures as parts of a row, and layers between its blocks read the
image by cross-attention.
"""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from torch import Tensor, nn
from transformers import BatchFeature
from transformers.cache_utils import Cache

from layerwise.models.adapters.generic import GenericModel, load_as
from layerwise.models.prefix.packing import PackedTexts


def load(description: dict[str, Any], device: str) -> "IdeficsModel":
    """Load the model that ``model.json`` describes; see :func:`layerwise.models.adapters.generic.load_as`."""
    return load_as(IdeficsModel, description, device)


def wrap(model: nn.Module, processor: Any, conversation: str) -> "IdeficsModel":
    """Serve a model of transformers that was built elsewhere, with or without its weights."""
    return IdeficsModel(model, processor, conversation)


class IdeficsModel(GenericModel):
    """Idefics behind the interface of :class:`layerwise.models.frozen.FrozenModel`."""

    # The layers between its blocks would be left out.
    goes_on = False
    # What those layers read: the images of the last forward pass, and which of them its last token sees.
    seen: Tensor
    seen_last: Tensor

    def find_image_token(self) -> str:
        """The token that the processor writes for an image."""
        return "<image>"

    def image_tokens(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """One token stands for the image; only the processor knows its id."""
        return inputs["input_ids"] == self.processor.image_token_id

    def processed(self, texts: Sequence[str], images: Sequence[Sequence[Any]], special: bool) -> BatchFeature:
        """An image goes where the text has its token. Given apart from the text, it would be put behind it."""
        rows = []
        for text, own in zip(texts, images, strict=True):
            first, *others = text.split(self.image_token)
            rows.append([first, *chain.from_iterable(zip(own, others, strict=True))])
        return self.processor(text=rows, padding=True, return_tensors="pt", add_special_tokens=special)

    def forward(self, **inputs: Any) -> Any:
        """Run the base model, and keep what it saw of the images."""
        output = super().forward(**inputs)
        self.seen = output.image_hidden_states
        if "image_attention_mask" in inputs:
            self.seen_last = inputs["image_attention_mask"][:, -1:]
        return output

    def continue_texts(self, packed: PackedTexts, prefix: Cache) -> None:
        """Every token of the texts reads the image that the prefix's last token reads: the last one before it."""
        resampled = self.decoder.config.use_resampler
        self.forward(
            input_ids=packed.ids,
            position_ids=packed.positions,
            attention_mask=packed.masks(self.decoder.config, self.dtype),
            image_attention_mask=self.seen_last.expand(-1, packed.ids.shape[1], -1),
            past_key_values=prefix,
            use_cache=True,
            **{"perceiver_embeddings" if resampled else "image_encoder_embeddings": self.seen},
        )
