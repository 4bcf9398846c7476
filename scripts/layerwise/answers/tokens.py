"""The tokens with which a model would begin to answer a prompt, by class."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from layerwise.answers.head_file import Asked
from layerwise.errors import InputError
from layerwise.models.answer_tokens import first_tokens
from layerwise.models.host import HostSide
from layerwise.stimuli.items import read_items
from layerwise.stimuli.prompts import render_prompts

# Items whose prompts are looked at, to show that the tokens do not depend on the item.
LOOKED_AT = 16


def tokens_of(model: HostSide, stimuli: str, prompt: str, entry: Mapping[str, Any], folder: Path) -> Asked:
    """The tokens of a prompt's answers, after the prompt as some items have it.

    A model may begin a word with a space or without, in lower case or capitalised; all of these tokens count.

    Args:
        model: with or without its weights.
        stimuli, prompt: their names, for messages.
        entry: of the prompt, with its ``answers``.
        folder: of the stimulus set.

    Raises:
        InputError: when two classes share a token, a word has none of its own, or the tokens depend on the item.
    """
    where = f"stimuli.{stimuli}.prompts: {prompt}"
    items, description = read_items(folder)
    some = items.iloc[np.unique(np.linspace(0, len(items) - 1, LOOKED_AT).astype(int))]
    written = render_prompts(dict(entry), some, description["categories"])
    first: dict[str, dict[int, str]] = {}
    for text, item in zip(written, some["item_id"], strict=True):
        found = {name: _ids(model, where, text, entry, words) for name, words in entry["answers"].items()}
        if not first:
            first = found
        elif {name: set(ids) for name, ids in found.items()} != {name: set(ids) for name, ids in first.items()}:
            raise InputError(
                f"{where}: with which tokens the model of type {model.model_type} begins its answer differs between "
                f"the items {some['item_id'].iat[0]} and {item}; let the wording end in words of its own, such as a "
                "question, not in what each item puts in"
            )
    _check_apart(model, where, first)
    decode = model.processor.tokenizer.decode
    return Asked(
        dict(entry), {name: [{"id": i, "text": decode([i])} for i in sorted(ids)] for name, ids in first.items()}
    )


def _ids(model: HostSide, where: str, prompt: str, entry: Mapping[str, Any], words: list[str]) -> dict[int, str]:
    """The first tokens of some words, each with its word."""
    unknown = model.processor.tokenizer.unk_token_id
    found: dict[int, str] = {}
    for word in words:
        try:
            text = model.render(prompt, with_image=entry.get("image") != "none")
            tokens = first_tokens(model, text, word)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        ids = {one for of_casing in tokens.values() for one in of_casing} - {unknown}
        if not ids:
            raise InputError(
                f"{where}: the tokenizer of this model of type {model.model_type} does not know the answer {word!r}; "
                "give another word"
            )
        found |= dict.fromkeys(ids, word)
    return found


def _check_apart(model: HostSide, where: str, tokens: Mapping[str, Mapping[int, str]]) -> None:
    """Refuse classes that share a first token: it would say both."""
    said: dict[int, tuple[str, str]] = {}
    for name, ids in tokens.items():
        for token, word in ids.items():
            if token in said:
                other, other_word = said[token]
                raise InputError(
                    f"{where}: a model of type {model.model_type} begins {other_word!r} ({other}) and {word!r} "
                    f"({name}) with the same token {model.processor.tokenizer.decode([token])!r}, so that its "
                    "probability says neither; give words in `answers` that begin differently"
                )
            said[token] = name, word
