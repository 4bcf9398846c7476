"""Names of further positions in a text, at which a task may be probed; no torch, for planning.

:class:`layerwise.config.tasks.Task` says what each means.
"""

import re
from collections.abc import Iterable

# By position of an object's tokens the placeholder that names the object.
OF_OBJECT = {"object-mean": "category", "object-first-mean": "first", "object-second-mean": "second"}
OF_IMAGE = ("image-last", "image-mean")
# What every adapter reads, without knowing which tokens these are.
READ_ANYWAY = ("last", "image-mean")
# Over the prompt's own words.
QUESTION_LAST, TEXT_MEAN, IMAGE_LAST = "question-last", "text-mean", "image-last"
# Placeholders whose words `word-` may name.
NAMED = ("category", "first", "second")
WORD = re.compile(r"word-([A-Za-z0-9]+)")


def is_about_image(position: str) -> bool:
    """Whether a position has tokens of an image."""
    return position in OF_IMAGE or position in OF_OBJECT


def named_by(position: str) -> str | None:
    """The placeholder whose words a position is the last token of; None for all other positions."""
    found = WORD.fullmatch(position)
    return found[1] if found and found[1] in NAMED else None


def word_of(position: str) -> str | None:
    """The word of the prompt that a position is the last token of; None for all other positions."""
    found = WORD.fullmatch(position)
    return found[1] if found and found[1] not in NAMED else None


def in_text_order(positions: Iterable[str]) -> list[str]:
    """Positions as most texts have them: the image, then words of the prompt, then its end."""
    known = ["image-mean", "image-last", *OF_OBJECT]
    ends = [TEXT_MEAN, QUESTION_LAST, "last"]

    def place(position: str) -> tuple[int, int, str]:
        if position in known:
            return 0, known.index(position), ""
        return (2, ends.index(position), "") if position in ends else (1, 0, position)

    return sorted(positions, key=place)


NAMES = {
    "last": "last token",
    "question-last": "end of the prompt's words",
    "text-mean": "the prompt's words, mean",
    "image-last": "image's last token",
    "image-mean": "image tokens, mean",
    "object-mean": "the object's patches, mean",
    "object-first-mean": "the first object's patches",
    "object-second-mean": "the second object's patches",
}


def position_name(position: str) -> str:
    """A position as figures and the page write it."""
    if (placeholder := named_by(position)) is not None:
        return f"the word for {{{placeholder}}}"
    word = word_of(position)
    return NAMES.get(position, position) if word is None else f"the word “{word}”"
