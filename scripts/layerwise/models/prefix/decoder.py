"""Run a prefix once, and the texts behind it chunk by chunk over its keys and values."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import Cache, DynamicCache

from layerwise.models.frozen import Select, mean_over, read_layers
from layerwise.models.memory import Result, Room
from layerwise.models.prefix.cache import prefix_cache, prefix_length
from layerwise.models.prefix.packing import PackedTexts, chunks_of
from layerwise.models.prefix.split import PromptGroup


@dataclass
class DecoderPositions:
    """Where the prefix ends in the decoder's own count of positions, observed while it runs.

    Families that number image tokens by row and column do not end at P - 1. What they remember of it is not reliable:
    the next image overwrites it.

    Attributes:
        tokens: how many tokens the prefix has, if others run with it; None if all belong to it.
        next: the position that follows; None as long as no pass was observed, or where the decoder is given none.
    """

    tokens: int | None = None
    next: int | None = None

    @contextmanager
    def read(self, decoder: nn.Module) -> Iterator[None]:
        """Watch one forward pass of the decoder."""

        def before(_module, _args, kwargs):
            positions = kwargs.get("position_ids")
            if positions is not None:
                # The rows are time, height and width; a fourth row before them simply counts tokens.
                self.next = int(positions[-3:, ..., : self.tokens].max()) + 1

        handle = decoder.register_forward_pre_hook(before, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


@dataclass(frozen=True)
class SharedDecoder:
    """A model's decoder, as sharing needs it.

    Attributes:
        run_prefix: the model's forward pass up to the final norm, as a function of its inputs and the cache.
        decoder: the text decoder within it.
        blocks: its L blocks.
        final_norm: its final norm.
        continue_texts: its forward pass over packed texts and the prefix's cache.
        across: the blocks that read the image by cross-attention, and keep its keys and values instead of the prefix's.
    """

    run_prefix: Callable[..., Any]
    decoder: nn.Module
    blocks: Sequence[nn.Module]
    final_norm: nn.Module
    continue_texts: Callable[[PackedTexts, Cache], None]
    across: Collection[int] = ()

    def states(self, group: PromptGroup, positions: Sequence[str], room: Room) -> dict[str, Tensor]:
        """States of a group whose tensors are on the device, by position, shape (prompts, L + 2, width), on the CPU.

        Args:
            group: what :func:`layerwise.models.prefix.split.split_prefix` made.
            positions: as :meth:`layerwise.models.frozen.FrozenModel.states` takes them.
            room: how many texts may be packed together.
        """
        # The image is in the prefix, so its mean is the same for all texts.
        select = {p: mean_over(group.image_tokens) for p in positions if p == "image-mean"}
        in_prefix = DecoderPositions()
        # A plain cache keeps the whole prefix even for layers that see a window of it; the mask holds the window.
        cache = DynamicCache()
        with in_prefix.read(self.decoder), read_layers(self.blocks, self.final_norm, select) as readings:
            _whole(lambda *_: self.run_prefix(**group.prefix, past_key_values=cache, use_cache=True))
        states = {p: values.expand(len(group.rests), -1, -1) for p, values in readings.stacked().items()}
        if at_last := [position for position in positions if position not in select]:
            start = group.prefix["input_ids"].shape[1] if in_prefix.next is None else in_prefix.next
            # The image is in the prefix, so every later token sees as much of it as the prefix's last token.
            across = group.prefix.get("cross_attention_mask")
            across = across if across is None else across[:, -1:]
            states |= self._last(group, cache, start, across, room, at_last)
        return {position: states[position] for position in positions}

    def _last(
        self,
        group: PromptGroup,
        cache: DynamicCache,
        start: int,
        across: Tensor | None,
        room: Room,
        positions: Sequence[str],
    ) -> dict[str, Tensor]:
        lengths = torch.tensor([len(rest) for rest in group.rests])
        # Texts of similar length run together, so that chunks are even.
        order = lengths.argsort(stable=True)
        sizes = lengths[order].tolist()
        chunks = chunks_of(sizes, room.size)
        most = max(sum(sizes[first:end]) for first, end in chunks)
        prefix = _whole(lambda *_: prefix_cache(cache, most, self.across))
        parts = []
        for first, end in chunks:
            texts = [group.rests[i] for i in order[first:end]]

            def run(a: int, b: int, texts: list[Tensor] = texts) -> dict[str, Tensor]:
                return self._chunk(texts[a:b], prefix, start, across, positions)

            parts += room.over(end - first, run)
        return {position: torch.cat([part[position] for part in parts])[order.argsort()] for position in positions}

    def _chunk(
        self, texts: list[Tensor], prefix: Cache, start: int, across: Tensor | None, positions: Sequence[str]
    ) -> dict[str, Tensor]:
        """States at the last token of each text, by position, shape (texts, L + 2, width), on the CPU."""
        lengths = torch.tensor([len(text) for text in texts], device=texts[0].device)
        ids = torch.cat(texts)[None]
        across = across if across is None else across.expand(-1, ids.shape[1], -1, -1)
        packed = PackedTexts(ids, lengths, prefix_length(prefix), start, across)
        ends = packed.ends
        select: dict[str, Select] = dict.fromkeys(positions, lambda hidden: hidden[0, ends.to(hidden.device)])
        with read_layers(self.blocks, self.final_norm, select) as readings:
            self.continue_texts(packed, prefix)
        return readings.stacked()


def _whole(run: Callable[[int, int], Result]) -> Result:
    """Run what cannot be divided: an image and the prefix around it."""
    return Room(1, "images with the start of their prompts").over(1, run)[0]
