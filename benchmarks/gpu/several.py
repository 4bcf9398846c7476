"""The shared prefix for several images at once, which the project does not do: what would it gain?

Images whose texts have the same lengths run as a batch: first their prefixes, then their packed texts, over caches with
a row for each image.
"""

from collections.abc import Sequence

import torch
from extraction import Ways
from torch import Tensor
from transformers.cache_utils import DynamicCache

from layerwise.models.frozen import read_layers
from layerwise.models.prefix.cache import prefix_cache
from layerwise.models.prefix.packing import PackedTexts


class SeveralImages:
    """Texts about each of several images; the same texts, which costs the same as others of these lengths."""

    def __init__(self, ways: Ways, images: int):
        self.model, self.length = ways.model, ways.prefix
        self.pixels = ways.pixels.expand(images, -1, -1, -1).contiguous()
        rests = [ids[self.length :] for ids in ways.ids]
        self.prefix_ids = ways.ids[0][None, : self.length].repeat(images, 1)
        self.row = torch.cat([self.prefix_ids[0], *rests])[None].repeat(images, 1)
        lengths = torch.tensor([len(rest) for rest in rests], device=self.row.device)
        self.packed = PackedTexts(torch.cat(rests)[None], lengths, self.length, self.length)
        self.images = images

    @property
    def tokens(self) -> int:
        """Of all images and texts."""
        return self.row.numel()

    @property
    def sizes(self) -> Sequence[int]:
        """Tokens of each text."""
        return self.packed.lengths.tolist()

    @torch.inference_mode()
    def shared(self) -> Tensor:
        """States at the last token of each text, shape (images x texts, L + 2, width), on the CPU."""
        model, cache = self.model, DynamicCache()
        model.forward(input_ids=self.prefix_ids, pixel_values=self.pixels, past_key_values=cache, use_cache=True)
        over = prefix_cache(cache, self.packed.ids.shape[1])
        ends = self.packed.ends
        with read_layers(model.blocks, model.final_norm, {"last": lambda h: h[:, ends].flatten(0, 1)}) as readings:
            model.decoder(
                input_ids=self.packed.ids.expand(self.images, -1),
                position_ids=self.packed.positions.expand(self.images, -1),
                attention_mask=self.packed.mask(model.dtype).expand(self.images, -1, -1, -1),
                past_key_values=over,
                use_cache=True,
            )
        return readings.stacked()["last"]

    @torch.inference_mode()
    def pure(self) -> None:
        """One forward pass of the same tokens, an image in each row."""
        self.model.model.base_model(input_ids=self.row, pixel_values=self.pixels, use_cache=False)
