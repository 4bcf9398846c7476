"""The wording of questions for information flow: what stands in a prompt, and where."""

import re
from collections.abc import Sequence

from layerwise.errors import InputError
from layerwise.several_pictures import place
from layerwise.stimuli.picture_places import IMAGE, check_places

# Of a data set's questions {text} alone, of a table's the others.
_FILLED = re.compile(rf"\{{(text|question|options)\}}|{IMAGE.pattern}")
_BRACES = re.compile(r"\{[a-z0-9_ ]*\}")


def render_question(template: str, question: str, options: Sequence[str] = ()) -> str:
    """A prompt with a question, its options and the places of its pictures."""
    filled = {"text": question, "question": question, "options": in_a_row(options)}
    return _FILLED.sub(lambda found: filled[found[1]] if found[1] else place(int(found[2])), template)


def in_a_row(options: Sequence[str]) -> str:
    """Options as a sentence lists them: "red, blue or green"."""
    *others, last = options or [""]
    return f"{', '.join(others)} or {last}" if others else last


def order_of_pictures(template: str, pictures: int) -> list[int]:
    """The numbers of a question's pictures in the order in which the model is shown them."""
    return [int(number) for number in IMAGE.findall(template)] or list(range(1, pictures + 1))


def check_behind_pictures(where: str, template: str) -> None:
    """Refuse a prompt that places a picture behind the question or its options.

    Raises:
        InputError: naming the prompt's key and the fix.
    """
    seen = False
    for found in _FILLED.finditer(template):
        if seen and not found[1]:
            raise InputError(f"{where}: flows start at the pictures; put the question behind all of them")
        seen = seen or bool(found[1])


def check_wording(where: str, template: str, pictures: int, options: bool) -> None:
    """Refuse a prompt that does not fit the questions of a table.

    Args:
        where: the key of the prompt, for messages.
        template: its text.
        pictures: how many each question shows.
        options: whether the questions have options.

    Raises:
        InputError: naming the key and the fix.
    """
    check_places(where, template, pictures)
    for found in _BRACES.findall(template):
        if not _FILLED.fullmatch(found) or found == "{text}":
            raise InputError(
                f"{where}: the prompt has {found}; the question of a table stands at {{question}}, its options at "
                "{options}, and its pictures at {image 1}, {image 2}"
            )
    if template.count("{question}") != 1:
        raise InputError(f"{where}: the prompt needs {{question}} once")
    if "{options}" in template and not options:
        raise InputError(f"{where}: the prompt has {{options}}; name the questions' `options_column`, or take it out")
    check_behind_pictures(where, template)
