"""The keys and values of a prefix, with room after them for the texts that continue it."""

from collections.abc import Collection
from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache, DynamicLayer


class PrefixLayer(DynamicLayer):
    """One layer's keys and values of the prefix, with room after them that every chunk of texts overwrites."""

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
        """The prefix's length: the number of tokens before each text."""
        return self.length


def prefix_cache(cache: DynamicCache, room: int, across: Collection[int] = ()) -> Cache:
    """The prefix's cache with room for a chunk. ``cache`` is emptied layer by layer, to not hold both in memory.

    Layers of cross-attention keep the image's keys and values, and need no room.
    """
    layers: list[CacheLayerMixin] = []
    while cache.layers:
        layer = cache.layers.pop(0)
        layers.append(layer if len(layers) in across else PrefixLayer(layer, room))
    return Cache(layers=layers)


def prefix_length(prefix: Cache) -> int:
    """The prefix's length in tokens."""
    return next(layer.length for layer in prefix.layers if isinstance(layer, PrefixLayer))


def set_length(prefix: Cache, length: int) -> None:
    """Let the next run see ``length`` tokens before it, and write its own keys and values after them."""
    for layer in prefix.layers:
        layer.length = length
