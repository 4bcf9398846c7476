"""Named sets of token positions of one question about an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from layerwise.errors import InputError
from layerwise.models.frozen import AnsweringModel

# What counts as the question. The paper divides the input into image, question and last position. That is `text`: all
# between the image and the last position, including how the model is told to answer and what its conversation adds.
# `words` are those of the question itself.
QuestionTokens = Literal["text", "words"]


@dataclass(frozen=True)
class PositionSets:
    """Positions in one question's tokens, each set as rising indices into ``range(n_tokens)``.

    Attributes:
        n_tokens: tokens of the whole input.
        image: the image's, from its first token to its last. This includes tokens between its tiles (Idefics 3), which
            could pass on what they see of it.
        object: those of the image that show the object in question; empty if no object is asked for.
        other: the image's without ``object``.
        question: the question's.
        last: the last one, at which the model begins its answer; one index.
    """

    n_tokens: int
    image: Tensor
    object: Tensor
    other: Tensor
    question: Tensor
    last: Tensor

    def mask(self, name: str) -> Tensor:
        """True at the positions of the set ``name``, shape (1, tokens)."""
        mask = torch.zeros(1, self.n_tokens, dtype=torch.bool)
        mask[0, getattr(self, name)] = True
        return mask


def position_sets(
    model: AnsweringModel,
    prepared: Mapping[str, Tensor],
    prompt: str,
    question: str,
    object_patches: Sequence[int] | None = None,
    takes: QuestionTokens = "text",
) -> PositionSets:
    """The sets of one prepared input.

    Args:
        model: the model that prepared it.
        prepared: its inputs for one image and ``prompt``, a batch of one.
        prompt: the user's turn, in which the question stands.
        question: the question's own words, as they appear in the prompt.
        object_patches: which of the image's tokens show the object, counted from its first token.
        takes: what counts as the question.

    Raises:
        InputError: when the question is not found after the image, or the object lies outside the image.
    """
    ids, image_tokens = prepared["input_ids"], model.image_tokens(prepared)
    if len(ids) != 1:
        raise ValueError("position sets are of one input at a time")
    n_tokens = ids.shape[1]
    patches = image_tokens[0].nonzero()[:, 0].cpu()
    image = torch.arange(int(patches[0]), int(patches[-1]) + 1)
    behind = int(image[-1]) + 1
    shown = torch.zeros(len(image), dtype=torch.bool)
    for patch in object_patches or ():
        if not 0 <= patch < len(patches):
            raise InputError(f"{prompt!r}: patch {patch} of the object is outside the image's {len(patches)} tokens")
        shown[patches[patch] - image[0]] = True
    if takes == "words":
        asked = _word_tokens(model, ids[0].tolist(), behind, prompt, question)
    else:
        asked = range(behind, n_tokens - 1)
    if not len(asked):
        raise InputError(f"{prompt!r}: there is no token of the question between the image and the last position")
    return PositionSets(
        n_tokens=n_tokens,
        image=image,
        object=image[shown],
        other=image[~shown],
        question=torch.tensor(asked),
        last=torch.tensor([n_tokens - 1]),
    )


def _word_tokens(model: AnsweringModel, ids: list[int], behind: int, prompt: str, question: str) -> range:
    """The tokens that hold the question's words.

    The whole text is tokenized, because tokens depend on what is around them. Tokens at the edges of the question count
    if they hold any of it. Then the tokens from the question to the end of the text are searched for among the
    processor's tokens after the image, which may include more (a token that ends the image or the turn).
    """
    text = model.render(prompt)
    start = text.rfind(question)
    if start < 0 or not question:
        raise InputError(f"the question {question!r} is not in the text that the model is shown: {text!r}")
    tokenizer = model.processor.tokenizer
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} does not say where its tokens are in a text, so the question's words cannot "
            "be found among them; take all text after the image as the question (`text`)"
        )
    plain = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    end = start + len(question)
    words = [i for i, (a, b) in enumerate(plain["offset_mapping"]) if a < end and b > start]
    rest = plain["input_ids"][words[0] :] if words else []
    places = [i for i in range(behind, len(ids) - len(rest) + 1) if ids[i : i + len(rest)] == rest]
    if not rest or len(places) != 1:
        raise InputError(
            f"the question {question!r} is not found among the tokens after the image: the processor writes the text "
            "differently from its tokenizer; take all text after the image as the question (`text`)"
        )
    first = places[0]
    # The last position is a set of its own.
    return range(first, min(first + words[-1] - words[0] + 1, len(ids) - 1))
