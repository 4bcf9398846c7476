"""Texts about each of several images, as a run has them: the same texts, which costs the same as others so long."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import torch
from extraction import Ways
from torch import Tensor

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.memory import Room
from layerwise.models.prefix import together
from layerwise.models.prefix.split import PromptGroup, inputs_to


class SeveralImages:
    """Texts about each of several images. Prepared inputs lie on the host, in float32, as in a run."""

    def __init__(self, ways: Ways, images: int):
        self.model, self.images = ways.model, images
        self.groups = [on_host(ways)] * images
        rests = [ids[ways.prefix :] for ids in ways.ids]
        self.row = torch.cat([ways.ids[0][: ways.prefix], *rests])[None].repeat(images, 1)
        self.pixels = ways.pixels.expand(images, -1, -1, -1).contiguous()

    def shared(self) -> list[dict[str, Tensor]]:
        """States at the last token of each text of each image, on the CPU: as many images at once as in a run."""
        return self.model.run_several(self.groups, ["last"])

    def shared_at_once(self) -> list[dict[str, Tensor]]:
        """The same, with all of these images at once."""
        with at_once(self.model, self.images):
            return self.shared()

    @torch.inference_mode()
    def pure(self) -> None:
        """One forward pass of the same tokens, an image in each row."""
        self.model.model.base_model(input_ids=self.row, pixel_values=self.pixels, use_cache=False)


@contextmanager
def at_once(model: GenericModel, images: int) -> Iterator[None]:
    """Run so many images at once, however many tokens they have."""
    own, model.images = model.images, Room(images, model.images.what)
    try:
        with patch.object(together, "TOKENS_TOGETHER", 10**9):
            yield
    finally:
        model.images = own


def on_host(ways: Ways) -> PromptGroup:
    """The texts and their image as the project prepares them: on the host, in float32."""
    group, host = ways.group(), torch.device("cpu")
    return replace(group, prefix=inputs_to(group.prefix, host, torch.float32), pictures=group.pictures.to(host))
