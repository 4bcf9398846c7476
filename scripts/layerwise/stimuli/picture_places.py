"""Where pictures stand in a prompt's wording: ``{image 1}`` is the place of an item's first picture.

A wording without places has its pictures before the text, in order.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from layerwise.errors import InputError

IMAGE = re.compile(r"\{image ([1-9][0-9]*)\}")
# What may be meant as a place. Other braces are text.
MEANT = re.compile(r"\{\s*image\s*[0-9]*\s*\}", re.IGNORECASE)


def check_places(where: str, text: str, pictures: int) -> None:
    """Refuse a wording that places some pictures of an item and not all, or one twice, or one that is not there.

    Args:
        where: the prompt's key, for messages.
        text: its wording.
        pictures: how many an item shows.

    Raises:
        InputError: naming the prompt and the number.
    """
    if wrong := next((said for said in MEANT.findall(text) if not IMAGE.fullmatch(said)), None):
        raise InputError(f"{where}: {wrong} is no place of a picture; write {{image 1}} for the first one")
    numbers = [int(number) for number in IMAGE.findall(text)]
    if far := [number for number in numbers if number > pictures]:
        has = "one picture" if pictures == 1 else f"{pictures} pictures"
        raise InputError(f"{where}: {{image {far[0]}}} is the place of no picture, as items have {has}; leave it out")
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise InputError(f"{where}: {{image {twice[0]}}} is there twice, and a picture is shown once; leave one out")
    if numbers and (missing := [number for number in range(1, pictures + 1) if number not in numbers]):
        raise InputError(
            f"{where}: the wording has a place for {{image {numbers[0]}}} but none for {{image {missing[0]}}}; give "
            f"each of the {pictures} pictures its place, or none of them"
        )


def left_out(prompt: Mapping[str, Any]) -> set[int]:
    """The numbers of the pictures in a prompt's wording that it leaves out (``none``)."""
    if prompt.get("image") == "none":
        return set(map(int, IMAGE.findall(prompt["text"])))
    return {number for number, shown in enumerate(prompt.get("images") or [], start=1) if shown == "none"}


def without(text: str, left_out: Collection[int]) -> str:
    """A wording without the places of pictures that are left out.

    The others are numbered from 1 without a gap, as the pictures that are shown. A place takes the blank behind it
    along, or at the end the one before it, so that no two blanks are left in its stead.
    """

    def kept(match: re.Match[str]) -> str:
        number = int(match[1])
        return f"{{image {number - sum(other < number for other in left_out)}}}"

    for number in left_out:
        place = re.escape(f"{{image {number}}}")
        text = re.sub(rf"(?:^|(?<=\s)){place}\s|\s{place}$|{place}", "", text)
    return IMAGE.sub(kept, text)
