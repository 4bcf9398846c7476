"""The tokens with which a model can begin an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from layerwise.errors import InputError

if TYPE_CHECKING:
    from layerwise.models.frozen import AnsweringModel


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
    before = encode(text)
    tokens = {}
    for name, form in (("lower", answer.lower()), ("capitalised", answer[:1].upper() + answer[1:].lower())):
        found = []
        for written in (form, f" {form}"):
            ids = encode(text + written)
            begun, first = ids[: len(before)], ids[len(before) : len(before) + 1]
            # A space alone says nothing about the answer.
            if begun == before and decode(first).strip():
                found += first
        if not found:
            raise InputError(f"the tokenizer joins the answer {form!r} with the prompt before it: {text[-40:]!r}")
        tokens[name] = sorted(set(found))
    return tokens
