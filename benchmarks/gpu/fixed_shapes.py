"""The shared prefix with shapes that never change, so that it can be compiled or recorded as a CUDA graph.

The packed texts are padded to a multiple of some tokens by a text that nothing reads. Nothing here is part of the
project: it measures whether it would pay.
"""

import gc
from collections.abc import Callable

import torch
from extraction import Ways
from torch import Tensor
from torch.nn import functional
from transformers.cache_utils import DynamicCache

from gpu.timing import on_card
from layerwise.models.frozen import read_layers
from layerwise.models.prefix.cache import prefix_cache, set_length
from layerwise.models.prefix.packing import PackedTexts
from layerwise.models.prefix.split import PromptGroup
from layerwise.models.prefix.together import joined

BUCKET = 64


class FixedShapes:
    """The stages of one image and its texts over buffers that stay where they are."""

    def __init__(self, ways: Ways, group: PromptGroup):
        """
        Args:
            ways: the model and the shape's tokens.
            group: the texts and their image, on the host; other groups must have as many tokens in the prefix and
                texts of the same lengths.
        """
        self.model, self.base = ways.model, ways.model.model.base_model
        device = self.model.device
        on_card = joined([group]).to(device, self.model.dtype)
        self.length = on_card.prefix["input_ids"].shape[1]
        self.prefix_ids, self.pixels = on_card.prefix["input_ids"], on_card.prefix["pixel_values"]
        shown = group.pictures[0] > 0
        first = int(shown.int().argmax())
        self.image = slice(first, first + int(shown.sum()))
        sizes = [len(rest) for rest in group.rests]
        filled = -(-sum(sizes) // BUCKET) * BUCKET - sum(sizes)
        self.ids = functional.pad(torch.cat(group.rests), (0, filled))[None].to(device)
        packed = PackedTexts(self.ids, torch.tensor([sizes]), self.length, self.length)
        # Made once: none of them depends on the words.
        self.ends, self.positions, self.mask = packed.ends, packed.positions, packed.mask(self.model.dtype)
        cache = DynamicCache()
        with torch.inference_mode():
            self.model.decoder(inputs_embeds=self._embedded(), past_key_values=cache, use_cache=True)
            self.over = prefix_cache(cache, self.ids.shape[1])

    def take(self, group: PromptGroup) -> None:
        """Copy another group's words and pixels into the buffers."""
        self.pixels.copy_(group.prefix["pixel_values"], non_blocking=True)
        self.prefix_ids.copy_(group.prefix["input_ids"], non_blocking=True)
        words = torch.cat(group.rests)
        self.ids[0, : len(words)].copy_(words, non_blocking=True)

    def _embedded(self) -> Tensor:
        embedded = self.model.decoder.get_input_embeddings()(self.prefix_ids)
        found = self.base.get_image_features(self.pixels)
        features = getattr(found, "pooler_output", found)
        embedded[:, self.image] = features[0] if isinstance(features, (list, tuple)) else features
        return embedded

    def prefix(self) -> None:
        """The image and the prefix. Their keys and values are written into the kept cache, with no copy after them."""
        set_length(self.over, 0)
        self.model.decoder(inputs_embeds=self._embedded(), past_key_values=self.over, use_cache=True)
        set_length(self.over, self.length)

    def texts(self) -> Tensor:
        """The packed texts: states, shape (texts, L + 2, width), on the device."""
        with read_layers(self.model.blocks, self.model.final_norm, {"last": lambda h: h[self.ends]}) as readings:
            self.model.decoder(
                input_ids=self.ids,
                position_ids=self.positions,
                attention_mask=self.mask,
                past_key_values=self.over,
                use_cache=True,
            )
        return torch.stack(readings.kept["last"], dim=1)

    def whole(self) -> Tensor:
        """Both."""
        self.prefix()
        return self.texts()


class Recorded:
    """A function as a CUDA graph; without a GPU, the function itself.

    Attributes:
        output: what the function returned; each call overwrites it.
    """

    def __init__(self, run: Callable[[], Tensor]):
        self.run, self.graph = run, None
        if not on_card():
            return
        # The kernels of a first run choose their workspaces, which must not happen while recording.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(2):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        gc.collect()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.output = run()

    def __call__(self) -> Tensor:
        """Run it."""
        if self.graph is None:
            return self.run()
        self.graph.replay()
        return self.output
