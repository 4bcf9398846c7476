"""How several pictures of one item stand in tables and in prompts.

In tables, the column ``image`` holds their paths, one per line, and ``image_sha256`` the checksum of their checksums.
An item with one picture has its path and its checksum, as ever. In a prompt, a place says where a picture stands: its
number between two object replacement characters (U+FFFC), which Unicode has for what is no text. A prompt without
places has its pictures before the text, in order.
"""

import hashlib
import re
from collections.abc import Sequence

from layerwise.errors import InputError

MARK = "\ufffc"
PLACE = re.compile(rf"{MARK}(\d+){MARK}")


def joined(paths: Sequence[str]) -> str:
    """The pictures of one item in one cell.

    Raises:
        InputError: when a path has a line break.
    """
    if broken := next((path for path in paths if "\n" in path), None):
        raise InputError(f"{broken!r}: the path of a picture has a line break; rename the file")
    return "\n".join(paths)


def each(image: str) -> list[str]:
    """The paths in a cell, in order."""
    return image.split("\n")


def joined_checksum(checksums: Sequence[str]) -> str:
    """The checksum of one item's pictures in order, as hex; of one picture its own."""
    return checksums[0] if len(checksums) == 1 else hashlib.sha256("\n".join(checksums).encode()).hexdigest()


def place(number: int) -> str:
    """What stands in a prompt where picture ``number`` is, counted from 1."""
    return f"{MARK}{number}{MARK}"


def places(prompt: str) -> list[int]:
    """The numbers of the pictures that have a place in a prompt, in the order of the text."""
    return [int(number) for number in PLACE.findall(prompt)]


def parts(prompt: str) -> list[str | int]:
    """A prompt as pieces of text and numbers of pictures, in order; empty pieces are left out."""
    pieces = PLACE.split(prompt)
    return [int(piece) if i % 2 else piece for i, piece in enumerate(pieces) if i % 2 or piece]


def before_last(prompt: str) -> str:
    """A prompt up to its last place, which included; empty without places.

    Prompts about the same pictures can share what a model makes of them if they are equal so far.
    """
    found = list(PLACE.finditer(prompt))
    return prompt[: found[-1].end()] if found else ""


def without_places(prompt: str) -> str:
    """A prompt's text without the places of its pictures."""
    return PLACE.sub("", prompt)


def check_places(prompt: str, pictures: int) -> None:
    """Refuse a prompt whose places are not those of its pictures.

    Args:
        prompt: with a place for each picture, or with none.
        pictures: how many pictures are shown with it.

    Raises:
        InputError: naming the places.
    """
    found = places(prompt)
    if found and sorted(found) != list(range(1, pictures + 1)):
        named = ", ".join(f"{{image {number}}}" for number in found)
        raise InputError(
            f"the prompt {shown(prompt)!r} has the places {named}, but {pictures or 'no'} "
            f"{'picture is' if pictures == 1 else 'pictures are'} shown with it; place each picture once, or none"
        )


def shown(prompt: str) -> str:
    """A prompt as messages quote it: with its places as the config writes them."""
    return PLACE.sub(r"{image \1}", prompt)
