"""A LLaMA decoder that takes embeddings of an image and of words: the common part of LaVIT and Emu."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from layerwise.models.authors.code import left_padded, positions_in
from layerwise.models.frozen import FrozenModel, Select, last_token, mean_over, read_layers


@dataclass(frozen=True)
class Inputs:
    """A batch on the host.

    Attributes:
        pixels: the pictures, shape (batch, 3, height, width).
        ids: per prompt its token ids, in parts if the image's tokens are not among them.
        seeds: per picture a seed of its own, if something is drawn at random for it.
    """

    pixels: Tensor
    ids: list[list[list[int]]]
    seeds: list[int] = field(default_factory=list)


class LlamaDecoderModel(FrozenModel):
    """The part of a frozen model behind its embeddings.

    Batches are padded on the left and positions count from each row's first token, as in the authors' generation, so
    that a row's states are those it has alone. Prefixes are not shared: transformers 4.33 has another kind of cache.
    """

    def __init__(self, decoder: nn.Module):
        self.decoder = decoder
        self.blocks, self.final_norm = decoder.layers, decoder.norm
        self.n_layers = len(self.blocks)
        self.width, self.n_heads = decoder.config.hidden_size, decoder.config.num_attention_heads
        self.dtype = decoder.embed_tokens.weight.dtype
        self.device = decoder.embed_tokens.weight.device

    def embed(self, ids: Sequence[int]) -> Tensor:
        """Embeddings of token ids, shape (tokens, width)."""
        return self.decoder.embed_tokens(torch.tensor(ids, dtype=torch.long, device=self.device))

    @abstractmethod
    def rows(self, prepared: Inputs) -> tuple[list[Tensor], list[Tensor]]:
        """Per input its embeddings, shape (tokens, width), and which of its tokens are the image's, shape (tokens,)."""

    @torch.inference_mode()
    def run(self, prepared: Inputs, positions: Sequence[str]) -> dict[str, Tensor]:
        """See :meth:`FrozenModel.run`."""
        inputs, select = self._batch(prepared, positions)
        with read_layers(self.blocks, self.final_norm, select) as readings:
            self.decoder(**inputs, use_cache=False)
        return readings.stacked()

    @torch.inference_mode()
    def reported(self, prepared: Inputs, positions: Sequence[str]) -> dict[str, Tensor]:
        """The same as the decoder's own ``hidden_states``, shape (batch, L + 1, width): all but the last block's."""
        inputs, select = self._batch(prepared, positions)
        hidden = self.decoder(**inputs, use_cache=False, output_hidden_states=True).hidden_states
        return {position: torch.stack([at(layer) for layer in hidden], dim=1).cpu() for position, at in select.items()}

    def _batch(self, prepared: Inputs, positions: Sequence[str]) -> tuple[dict[str, Tensor], dict[str, Select]]:
        rows, image = self.rows(prepared)
        embeddings, mask = left_padded(row.to(self.dtype) for row in rows)
        inputs = {"inputs_embeds": embeddings, "attention_mask": mask, "position_ids": positions_in(mask)}
        select = {"last": last_token(mask), "image-mean": mean_over(left_padded(image)[0])}
        return inputs, {position: select[position] for position in positions}
