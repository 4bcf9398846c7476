"""First phase of training: the vision tower learns to say a patch in words.

Each image token is pulled towards the sum of the word vectors of its patch's shape, of its colour (or "dark") and of
its place: "left" or "right", "above" or "below". Where there is no shape, it is pulled towards "background", and says
no place: attention that is spread over the picture then still tells where the shapes are. The decoder finds what a
question names by likeness, and learns in minutes what it otherwise learns in hours.
"""

import numpy as np
import torch
from torch.nn.functional import mse_loss
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from layerwise.datasets.world.scenes import GRID, PAINT, SHAPES, Scene

# What is said of the first column and of the last, and of the first row and the last; and how much of the latter is in
# what is said of each.
SIDES = (("left", "right"), ("above", "below"))
PARTS = (0.0, 0.15, 0.85, 1.0)
BACKGROUND = "background"


class PatchWords:
    """What each image token ought to be: float32 (scenes, 16, width)."""

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
        vectors = model.get_input_embeddings().weight.detach().clone()
        # With the space before it: the token of the word inside a sentence.
        self._word = {
            word: vectors[tokenizer.encode(f" {word}", add_special_tokens=False)[0]]
            for word in (*SHAPES, *PAINT, *SIDES[0], *SIDES[1], BACKGROUND)
        }
        part = torch.tensor(PARTS)[:, None]
        self._column, self._row = ((1 - part) * self._word[first] + part * self._word[last] for first, last in SIDES)

    def targets(self, scenes: list[Scene]) -> torch.Tensor:
        """The sums of vectors for the patches of each scene."""
        wanted = self._word[BACKGROUND].repeat(len(scenes), GRID * GRID, 1)
        for s, scene in enumerate(scenes):
            for item in scene.objects:
                place = self._column[item.column] + self._row[item.row]
                wanted[s, item.row * GRID + item.column] = self._word[item.shape] + self._word[item.colour] + place
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
