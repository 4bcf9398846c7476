"""Find the classes of a prompt's answers in what a model wrote.

The class is the one whose answer comes first: "No, there is a cat" says no, and "a dog, no cat" names a dog. Case,
punctuation, articles and the number of a noun do not count, and words are compared whole. Of answers that begin
at the same word the longest counts; if several classes have it, the text says none of them. A class without words of
its own is any other text.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence

ARTICLES = frozenset({"a", "an", "the"})
# What is left out of a word, so that "isn't" stays one.
WITHIN = str.maketrans("", "", "'’`")


def said_in(text: str, answers: Mapping[str, Sequence[str]]) -> str:
    """The class that a text says; empty where it says none.

    Args:
        text: what the model wrote.
        answers: words by class, without placeholders.
    """
    words = words_of(text)
    found: dict[tuple[int, int], set[str]] = {}
    for name, phrases in answers.items():
        for phrase in phrases:
            looked_for = words_of(phrase)
            place = _place(words, looked_for)
            if place is not None:
                found.setdefault((place, -len(looked_for)), set()).add(name)
    if found:
        said = found[min(found)]
        return said.pop() if len(said) == 1 else ""
    rest = [name for name, phrases in answers.items() if not phrases]
    return rest[0] if rest and words else ""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation and articles."""
    plain = unicodedata.normalize("NFKC", text).casefold().translate(WITHIN)
    return [word for word in re.findall(r"[^\W_]+", plain) if word not in ARTICLES]


def filled(answers: Mapping[str, Sequence[str]], values: Mapping[str, str]) -> dict[str, list[str]]:
    """Answers with the placeholders of an item filled in."""

    def fill(word: str) -> str:
        return re.sub(r"\{([a-z_]+)\}", lambda match: str(values.get(match[1], match[0])), word)

    return {name: [fill(word) for word in words] for name, words in answers.items()}


def _place(words: Sequence[str], looked_for: Sequence[str]) -> int | None:
    """Where a phrase begins; its last word may be in the plural, or that of the text."""
    many = len(looked_for)
    for place in range(len(words) - many + 1) if many else ():
        *front, last = words[place : place + many]
        if front == list(looked_for[:-1]) and _same_noun(last, looked_for[-1]):
            return place
    return None


def _same_noun(one: str, other: str) -> bool:
    return one == other or one in _plurals(other) or other in _plurals(one)


def _plurals(word: str) -> set[str]:
    """What a noun's plural may be, as far as its ending tells."""
    plurals = {f"{word}s", f"{word}es"}
    if word.endswith("y"):
        plurals.add(f"{word[:-1]}ies")
    if word.endswith(("f", "fe")):
        plurals.add(f"{word.removesuffix('e')[:-1]}ves")
    return plurals
