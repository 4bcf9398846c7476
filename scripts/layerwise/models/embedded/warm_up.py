"""First phase of training: the vision tower learns to express a patch in words.

Each image token is pulled towards the sum of the word vectors of its patch's shape, its colour (or "dark") and its
place: "left" or "right", "above" or "below". A patch without a shape is pulled towards "background" without a place, so
that even attention spread over the whole picture shows where the shapes are. The decoder can then find what a question
names by similarity, and learns in minutes what otherwise takes hours.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch.nn.functional import mse_loss
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from layerwise.datasets.world.scenes import GRID, PAINT, RADII, SHAPES, Scene

# The words for the first and last column and for the first and last row, and the share of the second word in the vector
# of each column or row.
SIDES = (("left", "right"), ("above", "below"))
PARTS = (0.0, 0.15, 0.85, 1.0)
# Where movements are to be seen: by these, any two neighbouring columns differ alike.
EVEN_PARTS = (0.0, 1 / 3, 2 / 3, 1.0)
SIZES = ("small", "large")
BACKGROUND = "background"


def word_vectors(
    model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, words: Iterable[str]
) -> dict[str, torch.Tensor]:
    """The vectors that words have now, each as a token with a space before it, as inside a sentence."""
    vectors = model.get_input_embeddings().weight.detach().clone()
    return {word: vectors[tokenizer.encode(f" {word}", add_special_tokens=False)[0]] for word in words}


class PatchWords:
    """Targets for the image tokens: float32 (scenes, 16, width).

    ``sequences``: for pictures of sequences, in which objects move a cell or grow. Then every column and row counts,
    and so does an object's size, between "small" and "large".
    """

    def __init__(
        self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast, sequences: bool = False
    ) -> None:
        words = (*SHAPES, *PAINT, *SIDES[0], *SIDES[1], BACKGROUND, *(SIZES if sequences else ()))
        self._word = word_vectors(model, tokenizer, words)
        part = torch.tensor(EVEN_PARTS if sequences else PARTS)[:, None]
        self._column, self._row = ((1 - part) * self._word[first] + part * self._word[last] for first, last in SIDES)
        self._size: dict[int, torch.Tensor] = {}
        if sequences:
            small, large = (self._word[word] for word in SIZES)
            parts = {radius: (radius - RADII[0]) / (RADII[-1] - RADII[0]) for radius in RADII}
            self._size = {radius: (1 - part) * small + part * large for radius, part in parts.items()}

    def targets(self, scenes: list[Scene]) -> torch.Tensor:
        """The sums of word vectors for the patches of each scene."""
        wanted = self._word[BACKGROUND].repeat(len(scenes), GRID * GRID, 1)
        for s, scene in enumerate(scenes):
            for item in scene.objects:
                place = self._column[item.column] + self._row[item.row]
                words = self._word[item.shape] + self._word[item.colour] + place
                if self._size:
                    words = words + self._size[item.radius]
                wanted[s, item.row * GRID + item.column] = words
        return wanted

    def loss(self, model: LlavaForConditionalGeneration, pixels: torch.Tensor, scenes: list[Scene]) -> torch.Tensor:
        """Mean squared error of the image tokens over the targets' variance. Objects and background weigh equally."""
        features = torch.stack(list(model.model.get_image_features(pixels, return_dict=True).pooler_output))
        wanted = self.targets(scenes)
        there = np.zeros((len(scenes), GRID * GRID), dtype=bool)
        for s, scene in enumerate(scenes):
            there[s, [item.row * GRID + item.column for item in scene.objects]] = True
        objects = torch.from_numpy(there)
        error = mse_loss(features[objects], wanted[objects]) + mse_loss(features[~objects], wanted[~objects])
        return error / wanted.var()
