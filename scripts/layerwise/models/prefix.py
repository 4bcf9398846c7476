"""Several texts about one image: the prefix they share is run once, and the rest of each over its keys and values.

The image comes first in a causal model, so everything up to the first token in which the texts differ has the same
states for all of them. That prefix, which holds the image, is run once and its keys and values are kept. The rests of
the texts follow packed in one row: a mask lets each token see the prefix and what comes before it in its own text, and
positions start again behind the prefix with every text. Nothing is padded and the prefix is never copied per text.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer

from layerwise.models.attention_mask import TAKES_MASKS
from layerwise.models.frozen import Select, mean_over, read_layers
from layerwise.models.memory import Result, Room

# What the processor gives per token; all else (pixels, sizes) is about the image as a whole.
PER_TOKEN = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "mm_token_type_ids",
    "image_embeds_position_mask",
    "cross_attention_mask",
)

# A chunk of texts is run together. Its tokens see one another only to be masked, so attention grows with its square;
# too short a chunk leaves the matrix products thin.
TEXTS_PER_CHUNK = 20
TOKENS_PER_CHUNK = 2048


@dataclass(frozen=True)
class PromptGroup:
    """Several prompts about one image, on the host.

    Attributes:
        prefix: the model's inputs for the common prefix of P tokens, batch 1.
        image_tokens: true where the prefix holds an image token, shape (1, P).
        rests: per prompt the token ids behind the prefix, at least one.
    """

    prefix: dict[str, Tensor]
    image_tokens: Tensor
    rests: list[Tensor]

    def to(self, device: torch.device, dtype: torch.dtype) -> "PromptGroup":
        """The group on a device, with floating-point inputs in the model's precision."""
        prefix = {k: v.to(device, dtype if v.is_floating_point() else v.dtype) for k, v in self.prefix.items()}
        return replace(
            self,
            prefix=prefix,
            image_tokens=self.image_tokens.to(device),
            rests=[rest.to(device) for rest in self.rests],
        )


def split_prefix(inputs: dict[str, Tensor], image_tokens: Tensor, token_ids: Sequence[Sequence[int]]) -> PromptGroup:
    """Cut several texts of one image at their longest common prefix of tokens.

    Args:
        inputs: the model's inputs for the first text alone, batch 1.
        image_tokens: where the image's tokens are in it, shape (1, tokens).
        token_ids: per text its whole token ids, the first one those of ``inputs``.

    Raises:
        ValueError: when the prefix does not hold the whole image.
    """
    shortest = min(len(ids) for ids in token_ids)
    rows = torch.tensor([list(ids[:shortest]) for ids in token_ids])
    same = (rows == rows[0]).all(0).long().cumprod(0)
    # Each text keeps a token of its own, also one that is the start of another.
    length = min(int(same.sum()), shortest - 1)
    if not image_tokens.any() or bool(image_tokens[:, length:].any()):
        raise ValueError("the texts differ before the image ends, so that there is no prefix to share")
    prefix = {key: value[:, :length] if key in PER_TOKEN else value for key, value in inputs.items()}
    return PromptGroup(prefix, image_tokens[:, :length], [torch.tensor(list(ids[length:])) for ids in token_ids])


def expanded_like(
    expanded: Sequence[int], plain: Sequence[Sequence[int]], placeholder: int, special: Sequence[int]
) -> list[list[int]] | None:
    """Token ids of all texts with the image written out, worked out from those of the first text.

    Args:
        expanded: what the processor made of the first text and the image.
        plain: per text the tokenizer's ids, in which the image is one placeholder.
        placeholder: the placeholder's id.
        special: ids of tokens at which the tokenizer always splits.

    Returns:
        None where this cannot be told for certain: the image must end in a special token, so that no token joins it
        with what follows, and all texts must be the same before it.
    """
    first = plain[0]
    if any(list(ids).count(placeholder) != 1 for ids in plain):
        return None
    at = first.index(placeholder)
    tail = len(first) - at - 1
    image_end = len(expanded) - tail
    if image_end < 1 or list(expanded[image_end:]) != list(first[at + 1 :]) or expanded[image_end - 1] not in special:
        return None
    if any(ids[: at + 1] != first[: at + 1] for ids in plain):
        return None
    return [list(expanded[:image_end]) + list(ids[at + 1 :]) for ids in plain]


class PrefixLayer(DynamicLayer):
    """One layer's keys and values of the prefix, with room behind them that every chunk of texts uses anew."""

    def __init__(self, prefix: DynamicLayer, room: int):
        super().__init__()
        self.keys, self.values = (self._with_room(part, room) for part in (prefix.keys, prefix.values))
        self.length = prefix.keys.shape[-2]
        self.is_initialized, self.dtype, self.device = True, prefix.dtype, prefix.device

    @staticmethod
    def _with_room(part: Tensor, room: int) -> Tensor:
        *shape, length, size = part.shape
        buffer = part.new_empty(*shape, length + room, size)
        buffer[..., :length, :] = part
        return buffer

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        """Keys and values of the prefix and these texts, without a copy of the prefix."""
        end = self.length + key_states.shape[-2]
        self.keys[..., self.length : end, :] = key_states
        self.values[..., self.length : end, :] = value_states
        return self.keys[..., :end, :], self.values[..., :end, :]

    def get_seq_length(self) -> int:
        """The prefix's length: what a text finds before it."""
        return self.length


@dataclass
class DecoderPositions:
    """Where the prefix ends in the decoder's own count of positions, read off as it runs.

    Families that number image tokens by row and column do not end at P - 1, and keep no state that could be trusted for
    it: the next image overwrites it.
    """

    next: int | None = None

    @contextmanager
    def read(self, decoder: nn.Module) -> Iterator[None]:
        """Watch one forward pass of the decoder."""

        def before(_module, _args, kwargs):
            positions = kwargs.get("position_ids")
            if positions is not None:
                # A fourth row in front of time, height and width numbers the tokens as such.
                self.next = int(positions[-3:].max()) + 1

        handle = decoder.register_forward_pre_hook(before, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()


@dataclass(frozen=True)
class PackedTexts:
    """Texts in one row behind a prefix of P tokens.

    Attributes:
        ids: token ids, shape (1, tokens).
        lengths: tokens per text, shape (texts,), on the same device.
        prefix: P.
        start: the position of each text's first token as the decoder counts; P for most families.
        across: which tiles of the image each token sees where blocks look across at it, shape (1, tokens, images,
            tiles); None for other families.
    """

    ids: Tensor
    lengths: Tensor
    prefix: int
    start: int
    across: Tensor | None = None

    @property
    def ends(self) -> Tensor:
        """The row's index of each text's last token, shape (texts,)."""
        return self.lengths.cumsum(0) - 1

    @property
    def places(self) -> Tensor:
        """Each token's place in its own text, from 0; shape (tokens,)."""
        starts = self.lengths.cumsum(0) - self.lengths
        return torch.arange(self.ids.shape[1], device=self.ids.device) - self._per_token(starts)

    def _per_token(self, per_text: Tensor) -> Tensor:
        # The size is told, or the host would wait for the device to count.
        return per_text.repeat_interleave(self.lengths, output_size=self.ids.shape[1])

    @property
    def positions(self) -> Tensor:
        """Positions as the decoder counts, shape (1, tokens)."""
        return (self.start + self.places)[None]

    def mask(self, dtype: torch.dtype, window: int | None = None) -> Tensor:
        """What each token sees: 0 where it does, the least number of ``dtype`` where it does not.

        Args:
            dtype: of the weights.
            window: how far a sliding layer sees back, the token itself included; None without a limit.

        Returns:
            Shape (1, 1, tokens, P + tokens).
        """
        device = self.ids.device
        text = self._per_token(torch.arange(len(self.lengths), device=device))
        place = self.prefix + self.places
        own = (text[:, None] == text) & (place[:, None] >= place)
        seen = torch.cat([own.new_ones(len(text), self.prefix), own], dim=1)
        if window is not None:
            seen &= torch.cat([torch.arange(self.prefix, device=device), place]) > place[:, None] - window
        mask = torch.zeros(seen.shape, dtype=dtype, device=device)
        return mask.masked_fill_(~seen, torch.finfo(dtype).min)[None, None]

    def masks(self, config: PreTrainedConfig, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
        """The mask as a decoder of this configuration takes it: by kind of layer where it has several kinds."""
        kinds, window = getattr(config, "layer_types", None), getattr(config, "sliding_window", None)
        if kinds and "sliding_attention" in kinds:
            return {"full_attention": self.mask(dtype), "sliding_attention": self.mask(dtype, window)}
        return self.mask(dtype, None if kinds else window)


def can_pack(config: PreTrainedConfig) -> bool:
    """Whether a decoder of this configuration takes masks of ours: full or sliding attention, and no kernel that makes
    its own."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds <= {"full_attention", "sliding_attention"} and config._attn_implementation in TAKES_MASKS


@dataclass(frozen=True)
class SharedDecoder:
    """What sharing needs to know of a model.

    Attributes:
        run_prefix: the model's forward pass up to the final norm, as a function of its inputs and the cache.
        decoder: the text decoder within it.
        blocks: its L blocks.
        final_norm: its final norm.
        continue_texts: its forward pass over packed texts and the prefix's cache.
        across: which blocks look across at the image, and keep its keys and values in place of the prefix's.
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
            group: what :func:`split_prefix` made.
            positions: as :meth:`layerwise.models.frozen.FrozenModel.states` takes them.
            room: how many texts may be packed together.
        """
        # Image tokens lie in the prefix, so their mean is the same for all texts of the image.
        select = {p: mean_over(group.image_tokens) for p in positions if p == "image-mean"}
        in_prefix = DecoderPositions()
        # A plain cache keeps the whole prefix also for layers that see a window of it; the mask has the window.
        cache = DynamicCache()
        with in_prefix.read(self.decoder), read_layers(self.blocks, self.final_norm, select) as readings:
            _whole(lambda *_: self.run_prefix(**group.prefix, past_key_values=cache, use_cache=True))
        states = {p: values.expand(len(group.rests), -1, -1) for p, values in readings.stacked().items()}
        if at_last := [position for position in positions if position not in select]:
            start = group.prefix["input_ids"].shape[1] if in_prefix.next is None else in_prefix.next
            # The image stands in the prefix, so all that follows sees as much of it as the prefix's last token.
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
        # Texts of about one length together, so that chunks are even.
        order = lengths.argsort(stable=True)
        sizes = lengths[order].tolist()
        chunks = _chunks(sizes, room.size)
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
        packed = PackedTexts(ids, lengths, _length(prefix), start, across)
        ends = packed.ends
        select: dict[str, Select] = dict.fromkeys(positions, lambda hidden: hidden[0, ends.to(hidden.device)])
        with read_layers(self.blocks, self.final_norm, select) as readings:
            self.continue_texts(packed, prefix)
        return readings.stacked()


def _whole(run: Callable[[int, int], Result]) -> Result:
    """What cannot be run in parts: an image and the prefix around it."""
    return Room(1, "images with the start of their prompts").over(1, run)[0]


def prefix_cache(cache: DynamicCache, room: int, across: Collection[int] = ()) -> Cache:
    """The prefix's cache with room for a chunk. ``cache`` is emptied layer by layer: memory holds about one of them.

    Layers that look across at the image keep what they have of it, and need no room.
    """
    layers: list[CacheLayerMixin] = []
    while cache.layers:
        layer = cache.layers.pop(0)
        layers.append(layer if len(layers) in across else PrefixLayer(layer, room))
    return Cache(layers=layers)


def _length(prefix: Cache) -> int:
    """The prefix's length in tokens."""
    return next(layer.length for layer in prefix.layers if isinstance(layer, PrefixLayer))


def _chunks(lengths: Sequence[int], most_texts: int) -> list[tuple[int, int]]:
    """Ranges of texts that are packed together: even, of at most so many texts and tokens, but at least one text."""
    even = math.ceil(len(lengths) / math.ceil(len(lengths) / most_texts))
    chunks, first, tokens = [], 0, 0
    for i, length in enumerate(lengths):
        if i > first and (i - first == even or tokens + length > TOKENS_PER_CHUNK):
            chunks.append((first, i))
            first, tokens = i, 0
        tokens += length
    return [*chunks, (first, len(lengths))]
