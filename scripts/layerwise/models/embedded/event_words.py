"""Second warm-up, for models that see sequences: the first block learns to say at each patch what happened there.

The patches of a picture are already the words of what they show. The first block is to add the number of the picture,
and whether the object in the patch changed since the picture before, and how; where an object has gone, "gone" and what
it was. A question about the frames is then no harder to learn than one about colours, and blocks above the first
learn from questions alone. One training of 1,050 steps without it was at chance in all four lessons about frames.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from layerwise.datasets.frame_events import MOVED
from layerwise.datasets.world.frames.ring import WAYS
from layerwise.datasets.world.frames.sequences import FrameSequence
from layerwise.datasets.world.scenes import COLOUR_NAMES, GRID, SHAPES, SceneObject
from layerwise.models.embedded.batches import Batch
from layerwise.models.embedded.warm_up import word_vectors

NUMBERS = ("1", "2", "3", "4")
STILL, CHANGED, GONE = "still", "changed", "gone"
# "changed colour" is not among them: it is no word, and what else could have changed is.
HOW = (MOVED, "grew", "shrank", "appeared")
WORDS = (*NUMBERS, STILL, CHANGED, GONE, *HOW, *WAYS.values(), *SHAPES, *COLOUR_NAMES)
# With this and smaller batches, seed 1 learned which way something moved by step 450; before, not by step 650. One
# training each.
LOUDNESS = dict.fromkeys(WAYS.values(), 2.0)
# What the patches of a picture are: without an object, with one that is as it was, or changed.
EMPTY, SAME, NEW = range(3)


class EventWords:
    """Targets for what the first block adds to the image tokens: float32 (pictures, 16, width)."""

    def __init__(self, model: LlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerFast) -> None:
        self._word = word_vectors(model, tokenizer, WORDS)

    def targets(self, sequences: Sequence[FrameSequence]) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of words to add at each patch, and what the patch is: int64 (pictures, 16)."""
        pictures = [told for sequence in sequences for told in _told(sequence)]
        added = torch.zeros(len(pictures), GRID * GRID, len(self._word[STILL]))
        kinds = np.full((len(pictures), GRID * GRID), EMPTY)
        for p, (number, patches) in enumerate(pictures):
            added[p] += self._word[NUMBERS[number]]
            for patch, words in patches.items():
                kinds[p, patch] = SAME if words == (STILL,) else NEW
                for word in words:
                    added[p, patch] += LOUDNESS.get(word, 1.0) * self._word[word]
        return added, torch.from_numpy(kinds)

    def loss(self, model: LlavaForConditionalGeneration, batch: Batch, text: bool = True) -> torch.Tensor:
        """Mean squared error of what the first block adds, over the targets' variance.

        Empty, unchanged and changed patches weigh equally, and so does the text (if ``text``), to which it is to add
        nothing.
        """
        decoder = model.model.language_model
        with torch.no_grad():
            states = model.get_input_embeddings()(batch.ids)
            there = batch.ids == model.config.image_token_id
            features = model.model.get_image_features(batch.pixels, return_dict=True).pooler_output
            states[there] = torch.cat(list(features))
            rotary = decoder.rotary_emb(states, batch.positions)
        after = first_block(model)(states, attention_mask=batch.mask, position_embeddings=rotary)
        wanted, kinds = self.targets(batch.sequences)
        added = after - states
        error = (added[there] - wanted.flatten(0, 1)).square().mean(-1)
        parts = [error[kinds.flatten() == kind].mean() for kind in (EMPTY, SAME, NEW)]
        if text:
            parts.append(added[~there & (batch.ids != model.config.text_config.pad_token_id)].square().mean())
        return torch.stack(parts).sum() / wanted[kinds != EMPTY].var()


def first_block(model: LlavaForConditionalGeneration) -> torch.nn.Module:
    """The decoder's first block."""
    return model.model.language_model.layers[0]


def _told(sequence: FrameSequence) -> list[tuple[int, dict[int, tuple[str, ...]]]]:
    """For each picture its number, from 0, and the words of each patch that has some."""
    told: list[tuple[int, dict[int, tuple[str, ...]]]] = [
        (0, {_patch(item): (STILL,) for item in sequence.frames[0].objects})
    ]
    for number, (before, now) in enumerate(pairwise(sequence.frames), start=1):
        events = {event.who: event for event in sequence.events if event.after == number}
        patches: dict[int, tuple[str, ...]] = {
            _patch(item): (GONE, item.shape, item.colour) for item in before.objects if item.shape in events
        }
        for item in now.objects:
            event = events.get(item.shape)
            if event is None:
                patches[_patch(item)] = (STILL,)
            else:
                how = (event.what,) if event.what in HOW else ()
                patches[_patch(item)] = (CHANGED, *how, *((event.way,) if event.way else ()))
        told.append((number, patches))
    return told


def _patch(item: SceneObject) -> int:
    return item.row * GRID + item.column
