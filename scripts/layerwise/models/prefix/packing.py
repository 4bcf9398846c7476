"""Several texts in a row after a prefix: positions, masks, and how many texts fit in a row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from layerwise.models.attention_mask import TAKES_MASKS, aligned_rows
from layerwise.models.memory import Room

# The size of a chunk of texts that run together. Attention grows with its square, although most pairs of tokens are
# masked; a short chunk makes for thin matrix products. On a card they are thin for longer, and the host has as many
# kernels to start for a short chunk as for a long one.
TEXTS_PER_CHUNK = {"cpu": 20, "cuda": 40}
TOKENS_PER_CHUNK = 2048
# Kinds of layers whose masks of packed texts are known. In a reference_sliding layer (Unlimited-OCR) a prompt sees
# everything before it; only generated tokens see a window.
PACKABLE = {"full_attention", "sliding_attention", "chunked_attention", "reference_sliding_attention"}


@dataclass(frozen=True)
class PackedTexts:
    """Texts in a row after a prefix of P tokens, for one image or several, with a row each.

    Attributes:
        ids: token ids, shape (images, tokens). A row that is shorter than the others ends in any tokens.
        lengths: tokens per text, on the host, shape (images, texts); 0 at the end of a row that has fewer texts.
        prefix: P.
        start: the position of each text's first token in the decoder's count, for all images or of shape (images, 1); P
            for most families.
        across: the tiles of the image that each token sees in blocks of cross-attention, shape (images, tokens, images
            of a text, tiles); None for other families.
    """

    ids: Tensor
    lengths: Tensor
    prefix: int
    start: int | Tensor
    across: Tensor | None = None

    @cached_property
    def ends(self) -> tuple[Tensor, Tensor]:
        """The row and the column of each text's last token, each of shape (texts of all images,)."""
        rows, texts = self.lengths.nonzero(as_tuple=True)
        columns = self.lengths.cumsum(1)[rows, texts] - 1
        return rows.to(self.ids.device), columns.to(self.ids.device)

    @property
    def last(self) -> Tensor:
        """True at each text's last token, shape (images, tokens)."""
        last = torch.zeros_like(self.ids, dtype=torch.bool)
        last[self.ends] = True
        return last

    @property
    def present(self) -> Tensor:
        """True at the tokens of texts, false behind the last one of a row; shape (images, tokens)."""
        return self._texts < self.lengths.shape[1]

    @property
    def places(self) -> Tensor:
        """Each token's place in its own text, from 0, and 0 behind the last text; shape (images, tokens)."""
        return self._texts_and_places[1]

    @property
    def _texts(self) -> Tensor:
        return self._texts_and_places[0]

    @cached_property
    def _texts_and_places(self) -> tuple[Tensor, Tensor]:
        """Each token's text, and its place in it. Counted on the host, which need not wait for the device then."""
        rows, columns = self.ids.shape
        behind = self.lengths.shape[1]
        sizes = torch.cat([self.lengths, columns - self.lengths.sum(1, keepdim=True)], dim=1)

        def per_token(per_text: Tensor) -> Tensor:
            return per_text.flatten().repeat_interleave(sizes.flatten()).view(rows, columns)

        texts = per_token(torch.arange(behind + 1).expand(rows, -1))
        places = torch.arange(columns) - per_token(sizes.cumsum(1) - sizes)
        # What is behind the last text could be longer than any text, and positions end somewhere.
        places[texts == behind] = 0
        return texts.to(self.ids.device), places.to(self.ids.device)

    @property
    def positions(self) -> Tensor:
        """Positions in the decoder's count, shape (images, tokens)."""
        return self.start + self.places

    def mask(self, dtype: torch.dtype, window: int | None = None, chunk: int | None = None) -> Tensor:
        """Which tokens each token sees: 0 where it does, the least number of ``dtype`` where it does not.

        Args:
            dtype: of the weights.
            window: how many tokens a sliding layer sees, the token itself included; None without a limit.
            chunk: the size of the chunks of a text beyond which a chunked layer sees nothing; None without chunks.

        Returns:
            Shape (images, 1, tokens, P + tokens).
        """
        device, (rows, _) = self.ids.device, self.ids.shape
        text, place = self._texts, self.prefix + self.places
        own = (text[:, :, None] == text[:, None]) & (place[:, :, None] >= place[:, None])
        seen = torch.cat([own.new_ones(*text.shape, self.prefix), own], dim=2)
        places = torch.cat([torch.arange(self.prefix, device=device).expand(rows, -1), place], dim=1)[:, None]
        if window is not None:
            seen &= places > place[:, :, None] - window
        if chunk is not None:
            seen &= places // chunk == place[:, :, None] // chunk
        mask = aligned_rows(torch.empty(0, dtype=dtype, device=device), *seen.shape).zero_()
        return mask.masked_fill_(~seen, torch.finfo(dtype).min)[:, None]

    def masks(self, config: PreTrainedConfig, dtype: torch.dtype) -> Tensor | dict[str, Tensor]:
        """The mask that a decoder of this configuration takes: by kind of layer if it has several kinds."""
        kinds, window = getattr(config, "layer_types", None), getattr(config, "sliding_window", None)
        if not kinds:
            return self.mask(dtype, window)
        masks = {"full_attention": self.mask(dtype)}
        if "sliding_attention" in kinds:
            masks["sliding_attention"] = self.mask(dtype, window)
        if "chunked_attention" in kinds:
            masks["chunked_attention"] = self.mask(dtype, chunk=config.attention_chunk_size)
        if "reference_sliding_attention" in kinds:
            masks["reference_sliding_attention"] = masks["full_attention"]
        return masks if len(masks) > 1 else masks["full_attention"]


def chunk_room(device: torch.device) -> Room:
    """How many texts about one image run together on a device."""
    return Room(TEXTS_PER_CHUNK.get(device.type, TEXTS_PER_CHUNK["cpu"]), "texts about one image")


def can_pack(config: PreTrainedConfig) -> bool:
    """Whether a decoder of this configuration takes them: attention of a known kind, by a kernel that uses masks."""
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    return kinds <= PACKABLE and config._attn_implementation in TAKES_MASKS


def most_exact(config: PreTrainedConfig) -> int | None:
    """The most tokens that an input may have before its states depend on the rest of its row; None without a limit.

    From ``floor_scale`` on, Llama 4 scales attention by a token's place in its row. Padding and packed texts before the
    token count as places.
    """
    if not getattr(config, "attn_temperature_tuning", False):
        return None
    return config.floor_scale - 1 - TOKENS_PER_CHUNK


def chunks_of(lengths: Sequence[int], most_texts: int) -> list[tuple[int, int]]:
    """Ranges of texts that are packed together: even, limited in texts and tokens, but of at least one text."""
    even = math.ceil(len(lengths) / math.ceil(len(lengths) / most_texts))
    chunks, first, tokens = [], 0, 0
    for i, length in enumerate(lengths):
        if i > first and (i - first == even or tokens + length > TOKENS_PER_CHUNK):
            chunks.append((first, i))
            first, tokens = i, 0
        tokens += length
    return [*chunks, (first, len(lengths))]
