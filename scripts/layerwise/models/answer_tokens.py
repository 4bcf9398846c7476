"""The tokens with which a model can begin an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.models.frozen import AnsweringModel


# How an answer may be written, and what may stand between it and the text before it.
FORMS: dict[str, Callable[[str], str]] = {
    "lower": str.lower,
    "capitalised": lambda answer: answer[:1].upper() + answer[1:].lower(),
}
SPACES = ("", " ")


def answer_tokens(model: AnsweringModel, prompt: str, answer: str, pictures: int = 1) -> dict[str, list[int]]:
    """Tokens with which a model can begin an answer to a prompt about so many pictures; see :func:`first_tokens`."""
    tokenizer = model.processor.tokenizer

    def encode(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    return first_tokens(encode, tokenizer.decode, model.render(prompt, pictures), answer)


def first_tokens(
    encode: Callable[[str], list[int]], decode: Callable[[list[int]], str], text: str, answer: str
) -> dict[str, list[int]]:
    """Tokens with which an answer can begin after a text, in lower case and capitalised.

    A tokenizer may write a word and the space before it as one token (``_red``), and whether the model begins with it
    depends on how the prompt ends. So both continuations of the prompt count, with a space and without. Prompt and
    answer are tokenized together, because an answer alone would be tokenized as the first word of a text.

    Args:
        encode: the token ids of a text, without tokens that the tokenizer would add to it.
        decode: the text of token ids.
        text: all that stands before the answer, as :meth:`layerwise.models.frozen.FrozenModel.render` writes it.
        answer: a word, or several.

    Returns:
        ``lower`` and ``capitalised``, each one or two token ids. They are the same where letters have no case.

    Raises:
        InputError: when the tokenizer joins prompt and answer in one token.
    """
    before, tokens = encode(text), {}
    for name, written in FORMS.items():
        form = written(answer)
        begun = (_first(encode, decode, text, before, space + form) for space in SPACES)
        found = [first for first in begun if first is not None]
        if not found:
            raise InputError(f"the tokenizer joins the answer {form!r} with the prompt before it: {text[-40:]!r}")
        tokens[name] = sorted(set(found))
    return tokens


def distractor_token(
    model: AnsweringModel, prompt: str, answer: str, said: int, distractor: str, pictures: int = 1
) -> int | None:
    """The token with which a distractor begins that is written as the model wrote its answer.

    Args:
        model: that answered.
        prompt: about the pictures.
        answer: the right one, which the model gave.
        said: the token with which it began.
        distractor: another answer.
        pictures: how many the model is shown.

    Returns:
        None if it is not known how the model writes its answer, or the tokenizer has no such token.
    """
    tokenizer = model.processor.tokenizer
    text = model.render(prompt, pictures)

    def encode(words: str) -> list[int]:
        return tokenizer(words, add_special_tokens=False)["input_ids"]

    before = encode(text)
    as_it_is: Callable[[str], str] = str
    for form in (as_it_is, *FORMS.values()):
        for space in SPACES:
            if _first(encode, tokenizer.decode, text, before, space + form(answer)) == said:
                token = _first(encode, tokenizer.decode, text, before, space + form(distractor))
                return None if token == tokenizer.unk_token_id else token
    return None


def _first(
    encode: Callable[[str], list[int]],
    decode: Callable[[list[int]], str],
    text: str,
    before: list[int],
    written: str,
) -> int | None:
    """The first token of what is written after a text; None if it is joined with the text, or a mere space.

    ``before`` are the tokens of the text alone.
    """
    ids = encode(text + written)
    begun, first = ids[: len(before)], ids[len(before) : len(before) + 1]
    # A space alone says nothing about the answer.
    return first[0] if begun == before and decode(first).strip() else None
