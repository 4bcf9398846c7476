"""Run prefixes once, and the texts behind them over their keys and values: chunk by chunk, or an image in each row."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from transformers.cache_utils import Cache, DynamicCache

from layerwise.models.frozen import Select, over_pictures, read_layers
from layerwise.models.memory import Room
from layerwise.models.prefix.cache import prefix_cache, prefix_length
from layerwise.models.prefix.packing import PackedTexts, chunks_of
from layerwise.models.prefix.together import PromptGroups


@dataclass
class DecoderPositions:
    """Where the prefix ends in the decoder's own count of positions, observed while it runs.

    Families that number image tokens by row and column do not end at P - 1. What they remember of it is not reliable:
    the next image overwrites it.

    Attributes:
        tokens: how many tokens the prefix has, if others run with it; None if all belong to it.
        next: the position that follows, shape (rows or 1, 1); None as long as no pass was observed, or where the
            decoder is given none.
    """

    tokens: int | None = None
    next: Tensor | None = None

    @contextmanager
    def read(self, decoder: nn.Module) -> Iterator[None]:
        """Watch one forward pass of the decoder."""

        def before(_module, _args, kwargs):
            positions = kwargs.get("position_ids")
            if positions is not None:
                last = positions[..., : self.tokens].amax(-1, keepdim=True)
                # Time, height and width; a fourth count before them is simply that of tokens.
                self.next = (last if last.dim() == 2 else last[-3:].amax(0)) + 1

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

    def states(self, groups: PromptGroups, positions: Sequence[str], room: Room) -> list[dict[str, Tensor]]:
        """States of groups whose prefixes are on the device, by position, shape (prompts, L + 2, width), on the CPU.

        Args:
            groups: what :func:`layerwise.models.prefix.together.joined` made.
            positions: as :meth:`layerwise.models.frozen.FrozenModel.states` takes them.
            room: how many texts may be packed together about an image that runs by itself.

        Returns:
            The states of each image's texts.
        """
        # The images are in the prefix, so their means are the same for all texts.
        means_over = {position: over_pictures(groups.pictures, position) for position in positions}
        select = {position: mean for position, mean in means_over.items() if mean is not None}
        in_prefix = DecoderPositions()
        # A plain cache keeps the whole prefix even for layers that see a window of it; the mask holds the window.
        cache = DynamicCache()
        with in_prefix.read(self.decoder), read_layers(self.blocks, self.final_norm, select) as readings:
            self.run_prefix(**groups.prefix, past_key_values=cache, use_cache=True)
        means = readings.stacked()
        found = [
            {position: values[row].expand(len(rests), -1, -1) for position, values in means.items()}
            for row, rests in enumerate(groups.rests)
        ]
        if at_last := [position for position in positions if position not in select]:
            start = groups.prefix["input_ids"].shape[1] if in_prefix.next is None else in_prefix.next
            # The image is in the prefix, so every later token sees as much of it as the prefix's last token.
            across = groups.prefix.get("cross_attention_mask")
            device = groups.pictures.device
            behind = _Behind(start, across if across is None else across[:, -1:], at_last, device)
            if len(groups.rests) == 1:
                last = [self._in_chunks(groups.rests[0], cache, behind, room)]
            else:
                last = self._in_rows(groups.rests, cache, behind)
            found = [first | second for first, second in zip(found, last, strict=True)]
        return [{position: states[position] for position in positions} for states in found]

    def _in_chunks(
        self, rests: Sequence[Tensor], cache: DynamicCache, behind: "_Behind", room: Room
    ) -> dict[str, Tensor]:
        """One image's texts, as many at a time as there is room for."""
        lengths = torch.tensor([len(rest) for rest in rests])
        # Texts of similar length run together, so that chunks are even.
        order = lengths.argsort(stable=True)
        sizes = lengths[order].tolist()
        chunks = chunks_of(sizes, room.size)
        prefix = prefix_cache(cache, max(sum(sizes[first:end]) for first, end in chunks), self.across)
        parts = []
        for first, end in chunks:
            texts = [rests[i] for i in order[first:end]]

            def run(a: int, b: int, texts: list[Tensor] = texts) -> dict[str, Tensor]:
                return self._packed([texts[a:b]], prefix, behind)

            parts += room.over(end - first, run)
        return {p: torch.cat([part[p] for part in parts])[order.argsort()] for p in behind.positions}

    def _in_rows(
        self, rests: Sequence[Sequence[Tensor]], cache: DynamicCache, behind: "_Behind"
    ) -> list[dict[str, Tensor]]:
        """The texts of several images, all at once."""
        prefix = prefix_cache(cache, max(sum(map(len, texts)) for texts in rests), self.across)
        states = self._packed(rests, prefix, behind)
        counts = [len(texts) for texts in rests]
        of_images = {position: values.split(counts) for position, values in states.items()}
        return [{position: values[i] for position, values in of_images.items()} for i in range(len(rests))]

    def _packed(self, texts: Sequence[Sequence[Tensor]], prefix: Cache, behind: "_Behind") -> dict[str, Tensor]:
        """States at the last token of each text of each image, by position, on the CPU.

        Returns:
            Shape (texts of all images, L + 2, width).
        """
        lengths = pad_sequence([torch.tensor([len(text) for text in row]) for row in texts], batch_first=True)
        ids = pad_sequence([torch.cat(list(row)) for row in texts], batch_first=True).to(behind.device)
        across = behind.across if behind.across is None else behind.across.expand(-1, ids.shape[1], -1, -1)
        packed = PackedTexts(ids, lengths, prefix_length(prefix), behind.start, across)
        rows, columns = packed.ends
        select: dict[str, Select] = dict.fromkeys(
            behind.positions, lambda hidden: hidden[rows.to(hidden.device), columns.to(hidden.device)]
        )
        with read_layers(self.blocks, self.final_norm, select) as readings:
            self.continue_texts(packed, prefix)
        return readings.stacked()


@dataclass(frozen=True)
class _Behind:
    """What the texts behind a prefix begin with, and what is read of them.

    Attributes:
        start, across: see :class:`layerwise.models.prefix.packing.PackedTexts`; ``across`` of the prefix's last token.
        positions: what is read at their last tokens.
        device: where their ids go.
    """

    start: int | Tensor
    across: Tensor | None
    positions: Sequence[str]
    device: torch.device
