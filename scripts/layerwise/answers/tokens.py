"""The tokens with which a model would begin to answer a prompt, by class."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from tokenizers import Tokenizer

from layerwise.answers.head_file import Head
from layerwise.errors import InputError
from layerwise.models.answer_tokens import first_tokens
from layerwise.several_pictures import without_places
from layerwise.stimuli.prompts import render_prompts

if TYPE_CHECKING:
    from layerwise.answers.head_file import Conversation

    class Speaker(Protocol):
        """How a model reads prompts, where it is not read off a file."""

        @property
        def model_type(self) -> str:
            """The family's name, for messages."""

        @property
        def conversation(self) -> Conversation:
            """What stands around a prompt, and the tokenizer."""


# Items whose prompts are looked at, to show that the tokens do not depend on the item.
LOOKED_AT = 16

# For each class the tokens that count, each with `id` and `text`.
ClassTokens = dict[str, list[dict[str, Any]]]


def tokens_of(
    head: "Head | Speaker", where: str, entry: Mapping[str, Any], items: pd.DataFrame, categories: Sequence[str]
) -> ClassTokens:
    """The tokens of a prompt's answers, after the prompt as some items have it.

    A model may begin a word with a space or without, in lower case or capitalised; all of these tokens count.

    Args:
        head: of the model; of its head only how it reads prompts is needed.
        where: the prompt's key, for messages.
        entry: of the prompt, with its ``answers``.
        items, categories: of the stimulus set.

    Raises:
        InputError: when two classes share a token, a word has none of its own, or the tokens depend on the item.
    """
    tokenizer = Tokenizer.from_str(head.conversation.tokenizer)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    some = items.iloc[np.unique(np.linspace(0, len(items) - 1, LOOKED_AT).astype(int))]
    first: dict[str, dict[int, str]] = {}
    for prompt, item in zip(render_prompts(dict(entry), some, categories), some["item_id"], strict=True):
        # What stands before the answer does not depend on where pictures stand in the prompt.
        text = head.conversation.render(without_places(prompt), with_image=entry.get("image") != "none")
        found = {name: _ids(tokenizer, head, where, text, words) for name, words in entry["answers"].items()}
        if not first:
            first = found
        elif [set(ids) for ids in found.values()] != [set(ids) for ids in first.values()]:
            raise InputError(
                f"{where}: with which tokens a model of type {head.model_type} begins its answer differs between the "
                f"items {some['item_id'].iat[0]} and {item}; let the wording end in words of its own, such as a "
                "question, not in what each item puts in"
            )
    _check_apart(tokenizer, head, where, first)
    return {
        name: [{"id": token, "text": _decoded(tokenizer, [token])} for token in sorted(ids)]
        for name, ids in first.items()
    }


def _ids(tokenizer: Tokenizer, head: "Head | Speaker", where: str, text: str, words: Sequence[str]) -> dict[int, str]:
    """The first tokens of some words, each with its word."""
    found: dict[int, str] = {}
    for word in words:
        try:
            tokens = first_tokens(
                lambda written: tokenizer.encode(written, add_special_tokens=False).ids,
                lambda ids: _decoded(tokenizer, ids),
                text,
                word,
            )
        except InputError as error:
            raise InputError(f"{where}: {error}; give another word, or another end of the wording") from error
        ids = {token for of_casing in tokens.values() for token in of_casing} - {head.conversation.unknown}
        if not ids:
            raise InputError(
                f"{where}: the tokenizer of this model of type {head.model_type} does not know the answer {word!r}; "
                "give another word"
            )
        found |= dict.fromkeys(ids, word)
    return found


def _decoded(tokenizer: Tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False)


def _check_apart(
    tokenizer: Tokenizer, head: "Head | Speaker", where: str, tokens: Mapping[str, Mapping[int, str]]
) -> None:
    """Refuse classes that share a first token: it would say both."""
    said: dict[int, tuple[str, str]] = {}
    for name, ids in tokens.items():
        for token, word in ids.items():
            if token in said:
                other, other_word = said[token]
                raise InputError(
                    f"{where}: a model of type {head.model_type} begins {other_word!r} ({other}) and {word!r} "
                    f"({name}) with the same token {_decoded(tokenizer, [token])!r}, so that its probability says "
                    "neither; give words in `answers` that begin differently"
                )
            said[token] = name, word
