"""The wording of questions for information flow: what stands in a prompt, and where."""

import re
from collections.abc import Sequence

from layerwise.errors import InputError
from layerwise.several_pictures import place

# Of a data set's questions {text} alone, of a table's the others.
_FILLED = re.compile(r"\{(text|question|options|image (\d+))\}")
_BRACES = re.compile(r"\{[a-z0-9_ ]*\}")


def render_question(template: str, question: str, options: Sequence[str] = ()) -> str:
    """A prompt with a question, its options and the places of its pictures."""
    filled = {"text": question, "question": question, "options": in_a_row(options)}
    return _FILLED.sub(lambda found: place(int(found[2])) if found[2] else filled[found[1]], template)


def in_a_row(options: Sequence[str]) -> str:
    """Options as a sentence lists them: "red, blue or green"."""
    *others, last = options or [""]
    return f"{', '.join(others)} or {last}" if others else last


def order_of_pictures(template: str, pictures: int) -> list[int]:
    """The numbers of a question's pictures in the order in which the model is shown them."""
    placed = [int(found[2]) for found in _FILLED.finditer(template) if found[2]]
    return placed or list(range(1, pictures + 1))


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
    for found in _BRACES.findall(template):
        if not _FILLED.fullmatch(found) or found == "{text}":
            raise InputError(
                f"{where}: the prompt has {found}; a question of a table stands at {{question}}, its options at "
                "{options}, and its pictures at {image 1}, {image 2}"
            )
    if template.count("{question}") != 1:
        raise InputError(f"{where}: the prompt needs {{question}} once")
    if "{options}" in template and not options:
        raise InputError(f"{where}: the prompt has {{options}}; name the questions' `options_column`, or take it out")
    placed = [int(found[2]) for found in _FILLED.finditer(template) if found[2]]
    if placed and sorted(placed) != list(range(1, pictures + 1)):
        said = ", ".join(f"{{image {number}}}" for number in range(1, pictures + 1))
        raise InputError(
            f"{where}: each question has {pictures} picture{'s' * (pictures > 1)}, and the prompt must place each of "
            f"them once: {said}; or take all places out, and the pictures stand before the text"
        )
    asked = min(template.find(one) for one in ("{question}", "{options}") if one in template)
    if placed and template.rfind("{image ") > asked:
        raise InputError(f"{where}: flows start at the pictures, so put the question behind all of them")
