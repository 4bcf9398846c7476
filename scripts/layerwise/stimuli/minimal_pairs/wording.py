"""Statements in plain words: articles, plurals and numbers."""

from layerwise.stimuli.minimal_pairs.nouns import NOUNS

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
IRREGULAR = {
    "person": "people",
    "man": "men",
    "woman": "women",
    "child": "children",
    "mouse": "mice",
    "knife": "knives",
    "calf": "calves",
    "loaf": "loaves",
    "sheep": "sheep",
    "goose": "geese",
    "skis": "skis",
    "scissors": "scissors",
    "broccoli": "broccoli",
    "aircraft": "aircraft",
    "fish": "fish",
}
# They begin with a vowel, but not with the sound of one.
NO_VOWEL = ("uni", "use", "eu", "one")


def plural(name: str) -> str:
    """The plural of a noun of one word or more: ``wine glasses``."""
    before, _, last = name.rpartition(" ")
    if last in IRREGULAR:
        last = IRREGULAR[last]
    elif last.endswith(("s", "x", "z", "ch", "sh")):
        last += "es"
    elif last.endswith("y") and last[-2:-1] not in "aeiou":
        last = last[:-1] + "ies"
    else:
        last += "s"
    return f"{before} {last}".strip()


def with_article(words: str) -> str:
    """``a red bus``, ``an apple``."""
    vowel = words[0].lower() in "aeiou" and not words.lower().startswith(NO_VOWEL)
    return f"{'an' if vowel else 'a'} {words}"


def one(category: str, attribute: str = "") -> str:
    """One object: ``a bus``, ``a red bus``, ``a pair of scissors``."""
    if not attribute and category in NOUNS and NOUNS[category].one:
        return NOUNS[category].one
    return with_article(f"{attribute} {category}".strip())


def there_are(category: str, number: int) -> str:
    """``There are exactly two dogs.``

    Without "exactly", a picture of three dogs would show two as well, and the statement would be true of it.
    """
    if number == 1:
        return f"There is exactly one {category}."
    return f"There are exactly {NUMBERS[number]} {plural(category)}."


def there_is(*things: str) -> str:
    """``There is a dog and a couch.``"""
    return f"There is {' and '.join(things)}."


def sentence(words: str) -> str:
    """With a capital and a full stop."""
    return f"{words[0].upper()}{words[1:]}."
