"""Several texts in one row after a prefix: positions, masks, and how many texts fit in a row."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedConfig

from layerwise.models.attention_mask import TAKES_MASKS

# The size of a chunk of texts that run together. Attention grows with its square, although most pairs of tokens are
# masked; a short chunk makes for thin matrix products.
TEXTS_PER_CHUNK = 20
TOKENS_PER_CHUNK = 2048
# Kinds of layers whose masks of packed texts are known. In a reference_sliding layer (Unlimited-OCR) a prompt sees
# everything before it; only generated tokens see a window.
PACKABLE = {"full_attention", "sliding_attention", "chunked_attention", "reference_sliding_attention"}


@dataclass(frozen=True)
class PackedTexts:
    """Texts in one row after a prefix of P tokens.

    Attributes:
        ids: token ids, shape (1, tokens).
        lengths: tokens per text, shape (texts,), on the same device.
        prefix: P.
        start: the position of each text's first token in the decoder's count; P for most families.
        across: the tiles of the image that each token sees in blocks of cross-attention, shape (1, tokens, images,
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
    def last(self) -> Tensor:
        """True at each text's last token, shape (1, tokens)."""
        last = torch.zeros_like(self.ids, dtype=torch.bool)
        last[0, self.ends] = True
        return last

    @property
    def places(self) -> Tensor:
        """Each token's place in its own text, from 0; shape (tokens,)."""
        starts = self.lengths.cumsum(0) - self.lengths
        return torch.arange(self.ids.shape[1], device=self.ids.device) - self._per_token(starts)

    def _per_token(self, per_text: Tensor) -> Tensor:
        # Without output_size the host would wait for the device to count.
        return per_text.repeat_interleave(self.lengths, output_size=self.ids.shape[1])

    @property
    def positions(self) -> Tensor:
        """Positions in the decoder's count, shape (1, tokens)."""
        return (self.start + self.places)[None]

    def mask(self, dtype: torch.dtype, window: int | None = None, chunk: int | None = None) -> Tensor:
        """Which tokens each token sees: 0 where it does, the least number of ``dtype`` where it does not.

        Args:
            dtype: of the weights.
            window: how many tokens a sliding layer sees, the token itself included; None without a limit.
            chunk: the size of the chunks of a text beyond which a chunked layer sees nothing; None without chunks.

        Returns:
            Shape (1, 1, tokens, P + tokens).
        """
        device = self.ids.device
        text = self._per_token(torch.arange(len(self.lengths), device=device))
        place = self.prefix + self.places
        own = (text[:, None] == text) & (place[:, None] >= place)
        seen = torch.cat([own.new_ones(len(text), self.prefix), own], dim=1)
        places = torch.cat([torch.arange(self.prefix, device=device), place])
        if window is not None:
            seen &= places > place[:, None] - window
        if chunk is not None:
            seen &= places // chunk == place[:, None] // chunk
        mask = torch.zeros(seen.shape, dtype=dtype, device=device)
        return mask.masked_fill_(~seen, torch.finfo(dtype).min)[None, None]

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
