"""The tokens with which a model would begin a word, for some words that are told apart by them."""

from collections import Counter
from collections.abc import Sequence

from layerwise.errors import InputError
from layerwise.models.answer_tokens import answer_tokens
from layerwise.models.frozen import AnsweringModel


def word_tokens(model: AnsweringModel, prompt: str, words: Sequence[str]) -> dict[str, list[int]]:
    """For each word the tokens that begin it and none of the others, in lower case and capitalised.

    A token with which two of the words begin (the C of "Circle" and "Cross") says neither, and counts for none.

    Args:
        model: the model.
        prompt: a user's turn about a picture, after which the words could be its answers.
        words: the names of objects.

    Returns:
        By word, rising ids; none for a word without a token of its own.
    """
    unknown = getattr(model.processor.tokenizer, "unk_token_id", None)
    found = {word: _begun(model, prompt, word) - {unknown} for word in words}
    shared = Counter(token for tokens in found.values() for token in tokens)
    return {word: sorted(token for token in tokens if shared[token] == 1) for word, tokens in found.items()}


def _begun(model: AnsweringModel, prompt: str, word: str) -> set[int]:
    try:
        return {token for tokens in answer_tokens(model, prompt, word).values() for token in tokens}
    except InputError:
        # The tokenizer joins the word with what stands before it.
        return set()
