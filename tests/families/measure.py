"""Check all that a family is said to do, each against one input at a time."""

import math
from functools import cache, cached_property, lru_cache

import torch
from PIL import Image
from torch import Tensor

from layerwise.models.adapters.generic import GenericModel
from layerwise.models.prefix.packing import can_pack
from tests.families import Family
from tests.families.comparing import (
    POSITIONS,
    PROMPTS,
    Refusal,
    all_at_once,
    furthest,
    greatest,
    one_at_a_time,
    or_refusal,
    pictures,
    relative,
    unlike,
    unlike_prompts,
)
from tests.families.intervened import Intervened, interventions, knocked_out
from tests.families.several import Several
from tests.families.several import several as several_pictures
from tests.families.within_blocks import adds_up, sites

__all__ = ["POSITIONS", "PROMPTS", "Measured", "measure", "one_at_a_time", "pictures", "relative"]


class Measured:
    """What the checks of a family give; each runs when it is first asked for.

    Numbers are the greatest differences, as the norm of the difference over the norm of the vector, over layers and
    positions. A :class:`Refusal` in their place is the reason why the model refuses this.
    """

    def __init__(self, family: Family):
        self.family = family

    @property
    def model(self) -> GenericModel:
        """The tiny model."""
        return _model(self.family)

    @cached_property
    def model_type(self) -> str:
        """The family's name in transformers."""
        return self.model.model_type

    @cached_property
    def declared(self) -> bool:
        """Whether the adapter says that it shares prefixes."""
        return self.model.shares_prefix

    @cached_property
    def alone(self) -> dict[str, Tensor]:
        """The states of unlike inputs, one at a time."""
        return one_at_a_time(self.model, *unlike())

    @cached_property
    def hooks(self) -> float:
        """The states that hooks read, against ``output_hidden_states`` of the whole model."""
        differences = []
        for i, (image, prompt) in enumerate(zip(*unlike(), strict=True)):
            for position, layers in _reported(self.model, image, prompt).items():
                # transformers gives embeddings, blocks 1 to L - 1 and the final norm's output.
                ours = torch.cat([self.alone[position][i : i + 1, :-2], self.alone[position][i : i + 1, -1:]], dim=1)
                assert ours.shape == layers.shape
                differences.append(relative(ours, layers))
            # transformers does not report the last block. Its state must lead to the final norm's output.
            last = self.alone["last"][i]
            if not self.family.joins_blocks:
                differences.append(relative(self.model.final_norm(last[-2]), last[-1]))
        return greatest(*differences)

    @cached_property
    def batch(self) -> float:
        """A full batch of unlike inputs, padded on the left and on the right, against each alone."""
        return self._padded(*unlike(), self.alone)

    @cached_property
    def text(self) -> float | Refusal:
        """The same of a batch of texts without an image, and each text against what the whole model reports."""
        return or_refusal(self._text)

    def _text(self) -> float:
        texts, none = [*PROMPTS, PROMPTS[0]], [None] * (len(PROMPTS) + 1)
        alone = one_at_a_time(self.model, none, texts, ["last"])
        reported = torch.cat([_reported(self.model, None, text)["last"] for text in texts])
        own = torch.cat([alone["last"][:, :-2], alone["last"][:, -1:]], dim=1)
        return greatest(relative(own, reported), self._padded(none, texts, alone))

    def _padded(self, images: list, prompts: list[str], alone: dict[str, Tensor]) -> float:
        tokenizer = self.model.processor.tokenizer
        side_before, differences = tokenizer.padding_side, []
        for side in ("right", "left"):
            tokenizer.padding_side = side
            differences.append(furthest(self.model.states(images, prompts, list(alone)), alone))
        tokenizer.padding_side = side_before
        return greatest(*differences)

    @cached_property
    def shared(self) -> float:
        """Prompts over one image's prefix, against the same alone, on two images, whether declared exact or not."""
        if not can_pack(self.model.decoder.config):
            # Its blocks go on from more than keys and values, so that packed texts cannot follow a prefix at all.
            return math.inf
        differences, images = [], pictures()
        groups = [self.model.prepare_shared(image, PROMPTS) for image in images]
        for image, group in zip(images, groups, strict=True):
            # The other image ran last, and nothing that the model remembers of it may matter.
            shared = self.model.run_shared(group, POSITIONS)
            expected = one_at_a_time(self.model, [image] * len(PROMPTS), PROMPTS)
            for position in POSITIONS:
                assert shared[position].shape == (len(PROMPTS), self.model.n_layers + 2, self.model.width)
            differences.append(furthest(shared, expected))
            self.model.run_shared(groups[0], ["last"])
        return greatest(*differences)

    @cached_property
    def several(self) -> float:
        """Prompts over the prefixes of several images at once, against each alone, whether declared exact or not."""
        differences, images, prompts = [], [pictures(1, seed)[0] for seed in range(3)], unlike_prompts()
        groups = [self.model.prepare_shared(image, some) for image, some in zip(images, prompts, strict=True)]
        lengths = {group.prefix["input_ids"].shape[1] for group in groups}
        assert len(lengths) > 1
        with all_at_once(self.model) as rows:
            several = self.model.run_several(groups, POSITIONS)
        # The prefixes, then the texts.
        assert rows == [len(groups)] * 2
        for image, some, states in zip(images, prompts, several, strict=True):
            for position in POSITIONS:
                assert states[position].shape == (len(some), self.model.n_layers + 2, self.model.width)
            differences.append(furthest(states, one_at_a_time(self.model, [image] * len(some), some)))
        return greatest(*differences)

    @cached_property
    def pictures(self) -> Several | Refusal:
        """Several pictures in one text."""
        return several_pictures(self.model)

    @cached_property
    def image(self) -> float:
        """How much the last token's topmost state differs between two images."""
        states = [self.model.states([image], PROMPTS[:1], ["last"])["last"][:, -1] for image in pictures()]
        return relative(*states)

    @cached_property
    def interventions(self) -> dict[str, Intervened | Refusal]:
        """By kind."""
        return interventions(self.model)

    @cached_property
    def knockout(self) -> Intervened | Refusal:
        """Attention knockout."""
        return knocked_out(self.model)

    @cached_property
    def sites(self) -> dict[str, float | Refusal]:
        """By site within blocks, its states against plain hooks."""
        return sites(self.model)

    @cached_property
    def adds_up(self) -> float | Refusal:
        """How far a block's output is from the sum of its input, its attention and its MLP."""
        return adds_up(self.model)


@cache
def measure(family: Family) -> Measured:
    """The checks of a family; a check runs once."""
    return Measured(family)


@lru_cache(maxsize=1)
def _model(family: Family) -> GenericModel:
    """One at a time, because a hundred models take memory. Ask for all that is wanted of one family in a row."""
    return family.frozen()


def _reported(model: GenericModel, image: Image.Image | None, prompt: str) -> dict[str, Tensor]:
    """The states that the whole model reports for one input, without this project's hooks; (1, L + 1, width)."""
    # Llama 4's processor gives pixels in bfloat16.
    inputs = model.prepare([image], [prompt]).to(model.device, model.dtype)
    with torch.inference_mode():
        output = model.model(**inputs, output_hidden_states=True)
    hidden = torch.stack(getattr(output, "language_model_outputs", output).hidden_states, dim=1)
    states = {"last": hidden[:, :, -1]}
    if image is not None:
        states["image-mean"] = hidden[:, :, model.image_tokens(inputs)[0]].mean(2)
    return states
