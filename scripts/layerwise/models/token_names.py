"""Names of further positions in a text, at which a task may be probed; no torch, for planning.

:class:`layerwise.config.tasks.Task` says what each means.
"""

import re

# By position of an object's tokens the placeholder that names the object.
OF_OBJECT = {"object-mean": "category", "object-first-mean": "first", "object-second-mean": "second"}
OF_IMAGE = ("image-last", "image-mean")
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
