"""Named sets of token positions of one question about an image, or about several."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from layerwise.datasets.questions import places_of
from layerwise.errors import InputError
from layerwise.flow.flows import Flow, picture_set, rest_set, span_set
from layerwise.models.frozen import AnsweringModel

# What counts as the question. The paper divides the input into image, question and last position. That is `text`: all
# between the image and the last position, including how the model is told to answer and what its conversation adds.
# `words` are those of the question itself.
QuestionTokens = Literal["text", "words"]


@dataclass(frozen=True)
class PositionSets:
    """Positions in one question's tokens.

    Attributes:
        n_tokens: tokens of the whole input.
        positions: by the name of a set, rising indices into ``range(n_tokens)``:

            - ``image``: each picture's, from its first token to its last. This includes tokens between its tiles
              (Idefics 3), which could pass on what they see of it.
            - ``object``: those of the image that show the object in question; empty if no object is asked for.
            - ``other``: the image's without ``object``.
            - ``question``: the question's.
            - ``last``: the last one, at which the model begins its answer; one index.
            - ``image 1``, ``image 2``, ...: one picture's; of questions about several.
            - ``span:NAME``: the tokens that hold any of a span's words.
            - ``rest:NAME``: those of the question that follow the span's first token and are not the span's.
    """

    n_tokens: int
    positions: Mapping[str, Tensor]

    def __getitem__(self, name: str) -> Tensor:
        """The set ``name``; empty if the question has no such set, as of a span that only others have."""
        return self.positions.get(name, torch.empty(0, dtype=torch.long))

    def mask(self, name: str) -> Tensor:
        """True at the positions of the set ``name``, shape (1, tokens)."""
        mask = torch.zeros(1, self.n_tokens, dtype=torch.bool)
        mask[0, self[name]] = True
        return mask

    def has(self, flow: Flow) -> bool:
        """Whether blocking a flow would change anything: some of its targets can see some of its source."""
        source, target = self[flow.source], self[flow.target]
        return len(source) > 0 and len(target) > 0 and bool(source[0] <= target[-1])


def position_sets(
    model: AnsweringModel,
    prepared: Mapping[str, Tensor],
    prompt: str,
    question: str,
    objects: Mapping[int, Sequence[int]] = MappingProxyType({}),
    takes: QuestionTokens = "text",
    spans: Mapping[str, str] = MappingProxyType({}),
) -> PositionSets:
    """The sets of one prepared input.

    Args:
        model: the model that prepared it.
        prepared: its inputs for the pictures and ``prompt``, a batch of one.
        prompt: the user's turn, in which the question stands, behind all pictures.
        question: the question's own words, as they appear in the prompt.
        objects: by picture, counted from 1, which of its tokens show the object, counted from its first one.
        takes: what counts as the question.
        spans: by name some words that the question holds once.

    Raises:
        InputError: when question or span are not found after the pictures, or the object lies outside its picture.
    """
    ids = prepared["input_ids"]
    if len(ids) != 1:
        raise ValueError("position sets are of one input at a time")
    n_tokens, of_picture = ids.shape[1], model.picture_tokens(prepared)[0].cpu()
    numbers = sorted(set(of_picture[of_picture > 0].tolist()))
    images, shown = {}, torch.zeros(n_tokens, dtype=torch.bool)
    for number in numbers:
        patches = (of_picture == number).nonzero()[:, 0]
        images[picture_set(number)] = torch.arange(int(patches[0]), int(patches[-1]) + 1)
        for patch in objects.get(number, ()):
            if not 0 <= patch < len(patches):
                raise InputError(
                    f"{prompt!r}: patch {patch} of the object is outside the image's {len(patches)} tokens"
                )
            shown[patches[patch]] = True
    image = torch.cat(list(images.values())).sort().values
    behind, last = int(image[-1]) + 1, n_tokens - 1
    words = {}
    if takes == "words" or spans:
        words = _word_tokens(model, ids[0].tolist(), behind, prompt, len(numbers), question, spans)
    if takes == "words":
        asked = words[""]
    else:
        # Between two pictures there may be text, and what it sees of the first one it could pass on.
        text = torch.ones(n_tokens, dtype=torch.bool)
        text[: int(image[0])] = text[image] = text[last] = False
        asked = text.nonzero()[:, 0]
    if not len(asked):
        raise InputError(f"{prompt!r}: there is no token of the question between the image and the last position")
    found = {
        "image": image,
        "object": image[shown[image]],
        "other": image[~shown[image]],
        "question": asked,
        "last": torch.tensor([last]),
    }
    found |= images if len(images) > 1 else {}
    for span in spans:
        found[span_set(span)] = words[span]
        found[rest_set(span)] = asked[(asked > words[span][0]) & ~torch.isin(asked, words[span])]
    return PositionSets(n_tokens, found)


def _word_tokens(
    model: AnsweringModel,
    ids: list[int],
    behind: int,
    prompt: str,
    pictures: int,
    question: str,
    spans: Mapping[str, str],
) -> dict[str, Tensor]:
    """The tokens that hold the question's words (under the name ""), and those of each span.

    The whole text is tokenized, because tokens depend on what is around them. Tokens at the edges count if they hold
    any of the words. Then the tokens from the question to the end of the text are searched for among the processor's
    tokens after the image, which may include more (a token that ends the image or the turn).
    """
    text = model.render(prompt, pictures)
    start = text.rfind(question)
    if start < 0 or not question:
        raise InputError(f"the question {question!r} is not in the text that the model is shown: {text!r}")
    fix = "take all text after the image as the question (`text`)" + (", and leave out `spans`" if spans else "")
    tokenizer = model.processor.tokenizer
    if not tokenizer.is_fast:
        raise InputError(
            f"{type(tokenizer).__name__} does not say where its tokens are in a text, so the question's words cannot "
            f"be found among them; {fix}"
        )
    plain = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)

    def holding(first: int, stop: int) -> list[int]:
        return [i for i, (a, b) in enumerate(plain["offset_mapping"]) if a < stop and b > first]

    words = holding(start, start + len(question))
    rest = plain["input_ids"][words[0] :] if words else []
    places = [i for i in range(behind, len(ids) - len(rest) + 1) if ids[i : i + len(rest)] == rest]
    if not rest or len(places) != 1:
        raise InputError(
            f"the question {question!r} is not found among the tokens after the image: the processor writes the text "
            f"differently from its tokenizer; {fix}"
        )
    found = {"": words}
    for span, said in spans.items():
        places_in_question = places_of(said, question)
        if len(places_in_question) != 1:
            raise InputError(f"the question {question!r} does not hold the words {said!r} of the span {span} once")
        first = start + places_in_question[0]
        found[span] = holding(first, first + len(said))
    # The last position is a set of its own.
    moved = {name: torch.tensor(tokens) + places[0] - words[0] for name, tokens in found.items()}
    return {name: tokens[tokens < len(ids) - 1] for name, tokens in moved.items()}
