"""Which categories captions name, how many, and what adjectives they put before them.

A small grammar, meant to be right where it says something, rather than to read everything. An adjective *surely*
describes an object in

    DETERMINER (SHADE)? ADJECTIVE ((and|,)? ADJECTIVE)* NOUN

if a word follows that no compound noun goes on with: "a red bus on a street", but not "a red bus stop", nor "a red and
shiny bus". What looks like an adjective of the object in another way ("the bus is red", "a red double bus") counts as
said, but not surely, so that it can only contradict.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from layerwise.stimuli.minimal_pairs.attributes import ADJECTIVES, CONTRADICTING, SHADES
from layerwise.stimuli.minimal_pairs.nouns import NOUNS, Noun
from layerwise.stimuli.minimal_pairs.wording import NUMBERS, plural

TOKEN = re.compile(r"[a-z]+(?:['-][a-z]+)*|\d+|[.,;:!?]")
DETERMINERS = {"a", "an", "the", "one", "this", "that", "his", "her", "its", "their", "another", "each"}
# What may follow a noun that is no part of a longer one.
FOLLOWING = {
    *".,;:!?",
    "and", "or", "but", "with", "without", "on", "in", "at", "by", "near", "next", "of", "to", "from", "is", "are",
    "was", "were", "that", "which", "who", "has", "have", "had", "under", "over", "above", "below", "behind",
    "beside", "between", "inside", "outside", "into", "onto", "through", "across", "along", "against", "around",
    "while", "as", "for", "up", "down", "off", "out", "sits", "stands", "lays", "lies", "sit", "stand", "lay", "lie",
    "parked", "filled", "covered", "surrounded", "topped", "made", "seen", "mounted", "attached", "tied", "hanging",
    "sitting", "standing", "laying", "lying", "driving", "traveling", "travelling", "riding", "walking",
    "flying", "running", "eating", "holding", "looking", "playing", "jumping", "grazing", "drinking", "sleeping",
    "resting", "swimming", "wearing", "passing", "pulling", "moving", "going", "coming", "floating", "leaning",
    "facing", "being", "taking", "carrying", "pulled",
}  # fmt: skip
# Words at which looking back for adjectives ends.
STOPS = DETERMINERS | FOLLOWING | {"some", "two", "three", "four", "five", "six", "several", "many", "few", "no"}
JOINING = {",", "and"}
# So many unknown words are looked past.
BACK = 4
MANY = {word: number for number, word in enumerate(NUMBERS) if number > 0}
# The number of a plural that stands without one.
SOME = 0
# Any number of three digits or more, of which some are years.
UNCOUNTED = 100


class Said(NamedTuple):
    """An adjective of an object."""

    family: str
    # None for adjectives that no statement is about.
    value: str | None
    sure: bool


class Mention(NamedTuple):
    """A place in a caption that names a category.

    ``number`` is 1 for a singular, the number before a plural, and ``SOME`` for a plural without one. ``sure`` is
    whether the words surely mean the category; other mentions have number 1 and no adjectives.
    """

    category: int
    number: int
    sure: bool
    adjectives: tuple[Said, ...] = ()


class CaptionReader:
    """Reads captions for the categories of a data set."""

    def __init__(self, categories: Sequence[str]):
        # By first word the phrases of several words, longest first.
        self.phrases: dict[str, list[tuple[tuple[str, ...], int, bool, bool]]] = {}
        for index, category in enumerate(categories):
            noun = NOUNS.get(category, Noun())
            for name in (category, *noun.names):
                self._add(name, index, many=False, sure=True)
                self._add(plural(name), index, many=True, sure=True)
            for hint in noun.hints:
                self._add(hint, index, many=False, sure=False)
                self._add(plural(hint), index, many=False, sure=False)
        # The same word for one and for many.
        self.invariable = {index for index, category in enumerate(categories) if plural(category) == category}
        for phrases in self.phrases.values():
            phrases.sort(key=lambda phrase: (-len(phrase[0]), not phrase[3]))

    def _add(self, name: str, category: int, many: bool, sure: bool) -> None:
        words = tuple(TOKEN.findall(name.lower()))
        known = self.phrases.setdefault(words[0] if words else "", [])
        if words and (words, category) not in [phrase[:2] for phrase in known]:
            known.append((words, category, many, sure))

    def mentions(self, caption: str) -> Iterator[Mention]:
        """What a caption names, in its order. Of overlapping names the longest counts, and with it all hints."""
        tokens = TOKEN.findall(caption.lower())
        taken = 0
        for start, token in enumerate(tokens):
            for words, category, many, sure in self.phrases.get(token, ()):
                end = start + len(words)
                if tuple(tokens[start:end]) != words:
                    continue
                if not sure or start < taken:
                    yield Mention(category, 1, sure=False)
                    continue
                taken = end
                number = 1
                if many or category in self.invariable:
                    number = _number_before(tokens, start, SOME if many else 1)
                yield Mention(category, number, True, tuple(_adjectives(tokens, start, end)))


def _number_before(tokens: list[str], start: int, of_article: int) -> int:
    """The number that stands before a noun and its adjectives, ``of_article`` where an article does."""
    for place in range(start - 1, max(start - 1 - BACK, -1), -1):
        token = tokens[place]
        if token in MANY:
            return MANY[token]
        if token.isdigit():
            return int(token) if len(token) < 3 else UNCOUNTED
        if token in STOPS:
            return of_article if token in ("a", "an", "another") else SOME
    return SOME


def _adjectives(tokens: list[str], start: int, end: int) -> Iterator[Said]:
    before, sure = _before(tokens, start)
    sure = sure and (end == len(tokens) or tokens[end] in FOLLOWING)
    for word in before:
        if word in ADJECTIVES:
            yield Said(*ADJECTIVES[word], sure)
        elif word in CONTRADICTING:
            yield Said(CONTRADICTING[word], None, sure=False)
    for word in _said_after(tokens, end):
        if word in ADJECTIVES:
            yield Said(*ADJECTIVES[word], sure=False)


def _before(tokens: list[str], start: int) -> tuple[list[str], bool]:
    """The adjectives before a noun, and whether nothing else stands between them and a determiner."""
    found: list[str] = []
    sure = True
    for place in range(start - 1, max(start - 2 - 2 * BACK, -1), -1):
        token = tokens[place]
        if _is_adjective(token):
            found.append(token)
        elif token in SHADES or (token in JOINING and found and place and _is_adjective(tokens[place - 1])):
            continue
        elif token in DETERMINERS:
            return found, sure
        elif token in STOPS:
            return found, False
        else:
            # An unknown word: adjectives further away may be others', or still the noun's.
            sure = False
            if start - place > BACK:
                return found, False
    return found, sure


def _is_adjective(token: str) -> bool:
    return token in ADJECTIVES or token in CONTRADICTING


def _said_after(tokens: list[str], end: int) -> list[str]:
    """The words after ``is`` or ``painted`` in "a bus that is painted red and white"."""
    rest = tokens[end : end + 2 * BACK]
    for place, token in enumerate(rest):
        if token in ("is", "are", "was", "were", "painted", "colored"):
            after = rest[place + 1 :]
            stop = next((i for i, word in enumerate(after) if word in STOPS - JOINING), len(after))
            return after[:stop]
        if token not in ("that", "which"):
            break
    return []
