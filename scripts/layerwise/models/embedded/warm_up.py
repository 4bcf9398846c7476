"""First phase of training: the vision tower learns to say a patch in words.

Each image token is pulled towards the sum of the word vectors of its patch's shape and colour (or "dark") and of its
place: "left" in the first column, "right" in the last, a mixture of both between them, and so with "above" and "below".
The decoder then finds what a question names by likeness, and learns in minutes what it otherwise learns in hours.
"""

import numpy as np
import torch
from torch.nn.functional import mse_loss
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from layerwise.datasets.world.scenes import GRID, PAINT, SHAPES, Scene

# What is said of the first and of the last column, and of the first and of the last row.
SIDES = (("left", "right"), ("above", "below"))


class PatchWords:
    """What each image token ought to be: float32 (scenes, 16, width)."""

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
        vectors = model.get_input_embeddings().weight.detach().clone()
        # With the space before it: the token of the word inside a sentence.
        self._word = {
            word: vectors[tokenizer.encode(f" {word}", add_special_tokens=False)[0]]
            for word in (*SHAPES, *PAINT, *SIDES[0], *SIDES[1])
        }
        part = torch.linspace(0, 1, GRID)[:, None]
        column, row = ((1 - part) * self._word[first] + part * self._word[last] for first, last in SIDES)
        self._empty = (column[None, :, :] + row[:, None, :]).reshape(GRID * GRID, -1)

    def targets(self, scenes: list[Scene]) -> torch.Tensor:
        """The sums of vectors for the patches of each scene."""
        wanted = self._empty.repeat(len(scenes), 1, 1)
        for s, scene in enumerate(scenes):
            for item in scene.objects:
                wanted[s, item.row * GRID + item.column] += self._word[item.shape] + self._word[item.colour]
        return wanted

    def loss(self, model: LlavaForConditionalGeneration, pixels: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
        """Mean squared error of the image tokens over the targets' variance; objects count as much as the rest."""
        features = torch.stack(list(model.model.get_image_features(pixels, return_dict=True).pooler_output))
        wanted = self.targets(scenes)
        there = np.zeros((len(scenes), GRID * GRID), dtype=bool)
        for s, scene in enumerate(scenes):
            there[s, [item.row * GRID + item.column for item in scene.objects]] = True
        objects = torch.from_numpy(there)
        error = mse_loss(features[objects], wanted[objects]) + mse_loss(features[~objects], wanted[~objects])
        return error / wanted.var()
