"""Which tokens of an input a position is about: found on the host, from what the family's own processor made."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import ceil, floor
from typing import Any

import torch
from torch import Tensor

from layerwise.datasets.questions import AskedObject
from layerwise.errors import InputError
from layerwise.models.frozen import Shown, pictures_of
from layerwise.models.host import HostSide
from layerwise.models.marked.prompts import Mark, marks_of
from layerwise.models.patches import Unmapped, object_tokens
from layerwise.models.token_names import IMAGE_LAST, QUESTION_LAST, READ_ANYWAY, TEXT_MEAN
from layerwise.several_pictures import PLACE

NONE = torch.empty(0, dtype=torch.long)


class MarkedInput:
    """The tokens of one input, without padding.

    Args:
        model: that prepared it.
        ids: its token ids, shape (tokens,), on the host.
        pictures: whose tokens they are: a picture's number, or 0; shape (tokens,).
        prompt: the user's turn.
        shown: its pictures.
    """

    def __init__(self, model: HostSide, ids: Tensor, pictures: Tensor, prompt: str, shown: Shown):
        self.model, self.ids, self.pictures, self.prompt = model, ids.tolist(), pictures, prompt
        self.shown = pictures_of(shown)

    def tokens(self, inputs: Mapping[str, Any], counts: Sequence[int], place: int) -> dict[str, Tensor]:
        """By position the indices of its tokens, in rising order; empty where this input has no such position.

        Positions that every adapter reads are left out.

        Args:
            inputs: what the processor made of all inputs that were prepared together.
            counts: how many image tokens each of their pictures has.
            place: which of them is this input's, from 0.

        Raises:
            InputError: when the words are not found among the tokens, or it is not known which tokens show an object.
        """
        found = {}
        for position, mark in marks_of(self.prompt).items():
            if position in READ_ANYWAY:
                continue
            if mark is None:
                found[position] = NONE
            elif mark.boxes:
                found[position] = self._objects(position, mark, inputs, counts, place)
            elif mark.span is not None:
                found[position] = self._holding(*mark.span)[-1:]
            elif position == IMAGE_LAST:
                found[position] = self._image[-1:]
            elif position == QUESTION_LAST:
                found[position] = self._words[-1:]
            elif position == TEXT_MEAN:
                found[position] = self._words
            else:
                raise ValueError(f"{position} is no position")
        return found

    @property
    def _image(self) -> Tensor:
        return (self.pictures > 0).nonzero()[:, 0]

    def _objects(
        self, position: str, mark: Mark, inputs: Mapping[str, Any], counts: Sequence[int], place: int
    ) -> Tensor:
        objects = [
            AskedObject("", floor(x), floor(y), ceil(x + w) - floor(x), ceil(y + h) - floor(y))
            for x, y, w, h in mark.boxes
        ]
        processor, config = getattr(self.model.processor, "image_processor", None), self.model.model.config
        try:
            patches = object_tokens(objects, config, processor, self.shown[0].size, inputs, counts, place)
        except Unmapped as error:
            raise InputError(
                f"there are no states at {position}: {error}; leave the position or the model out"
            ) from error
        return self._image[torch.from_numpy(patches)]

    @cached_property
    def _pieces(self) -> list[tuple[int, int, int]]:
        """The pieces of the prompt between the places of its pictures: where each begins in the prompt, where in the
        whole text, and its length; without blanks at the ends."""
        ends = [0, *(edge for found in PLACE.finditer(self.prompt) for edge in found.span()), len(self.prompt)]
        pieces, limit = [], len(self._text)
        for start, stop in reversed(list(zip(ends[::2], ends[1::2], strict=True))):
            piece = self.prompt[start:stop]
            if not (words := piece.strip()):
                continue
            # From the end, because a conversation may say the same words before.
            at = self._text.rfind(words, 0, limit)
            if at < 0:
                raise InputError(f"the prompt's words {words!r} are not in the text that the model is shown")
            pieces.append((start + piece.index(words), at, len(words)))
            limit = at
        return pieces[::-1]

    @cached_property
    def _text(self) -> str:
        return self.model.render(self.prompt, len(self.shown))

    @cached_property
    def _plain(self) -> tuple[list[int], list[tuple[int, int]]]:
        """The tokens of the text with its images not written out, and which characters each holds."""
        tokenizer = self.model.processor.tokenizer
        if not tokenizer.is_fast:
            raise InputError(
                f"{type(tokenizer).__name__} does not say where its tokens are in a text, so that no word is found "
                "among them; name positions of the image in tasks.NAME.positions, or leave the model out"
            )
        plain = tokenizer(self._text, add_special_tokens=False, return_offsets_mapping=True)
        return list(plain["input_ids"]), [tuple(offset) for offset in plain["offset_mapping"]]

    @cached_property
    def _words(self) -> Tensor:
        """The tokens that hold any of the prompt's own words."""
        return torch.cat([NONE, *(self._in_text(at, at + length) for _, at, length in self._pieces)])

    def _holding(self, start: int, stop: int) -> Tensor:
        """The tokens that hold some characters of the prompt."""
        for begin, at, length in self._pieces:
            if begin <= start and stop <= begin + length:
                return self._in_text(at + start - begin, at + stop - begin)
        raise InputError(f"{self.prompt[start:stop]!r} is not in the text that the model is shown")

    def _in_text(self, first: int, stop: int) -> Tensor:
        """The tokens that hold some characters of the text.

        The whole text is tokenized, because tokens depend on what is around them. Then the tokens from these on, up to
        the next image or to the end, are searched for among those of the processor, which also wrote out the images.
        """
        ids, offsets = self._plain
        held = [i for i, (a, b) in enumerate(offsets) if a < stop and b > first]
        placeholder = self._placeholder
        behind = next((i for i in range(held[-1] + 1, len(ids)) if ids[i] == placeholder), len(ids)) if held else 0
        run = ids[held[0] : behind] if held else []
        places = [i for i in range(len(self.ids) - len(run) + 1) if self.ids[i : i + len(run)] == run]
        # What reaches to the end of the text stands where it is said last.
        if not run or not places or (len(places) > 1 and behind < len(ids)):
            raise InputError(
                f"the words {self._text[first:stop]!r} are not found among the model's tokens: its processor writes "
                "the text differently from its tokenizer; name positions of the image in tasks.NAME.positions, or "
                "leave the model out"
            )
        return torch.tensor(held) - held[0] + places[-1]

    @property
    def _placeholder(self) -> int | None:
        token = self.model.image_token
        return self.model.processor.tokenizer.convert_tokens_to_ids(token) if token else None
