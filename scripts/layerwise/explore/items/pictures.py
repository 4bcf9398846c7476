"""Small copies of pictures, and addresses of pictures that may not be copied."""

import io
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from PIL import Image

from layerwise.errors import InputError
from layerwise.states.images import BLANK_IMAGE, read_image

log = logging.getLogger(__name__)

# Ways to write a picture, by media type. The shortest is taken: drawn pictures are small as PNG, photographs as WebP.
WAYS: Sequence[tuple[str, str, dict[str, Any]]] = (
    ("image/jpeg", "JPEG", {"quality": 80, "optimize": True}),
    ("image/webp", "WEBP", {"quality": 80, "method": 4}),
    ("image/png", "PNG", {"optimize": True}),
)


class Picture(NamedTuple):
    """A picture of the page.

    Attributes:
        media_type: of its bytes; empty without.
        content: the bytes of its copy; empty where it is linked, or missing.
        address: of a linked picture, from the folder of the page; empty where it is copied, or missing.
        width, height: of the copy in pixels; 0 without.
    """

    media_type: str = ""
    content: bytes = b""
    address: str = ""
    width: int = 0
    height: int = 0


def linked(path: str, folder: Path) -> Picture:
    """A picture that is linked where it lies.

    Args:
        path: of the picture, from the working directory.
        folder: of the page.
    """
    # By names alone, as a browser resolves an address: it does not follow links of folders.
    found = os.path.relpath(path, folder)
    return Picture(address=quote(found.replace(os.sep, "/")))


def opened(path: str, side: int) -> Image.Image | None:
    """A picture, no larger than ``side``; None, with a warning, if its file is gone, as results do not need it."""
    try:
        picture = read_image(path)
    except InputError:
        log.warning("%s: gone, or no picture any more; the page shows an empty place for it", path)
        return None
    return smaller(picture, side)


def grey(side: int) -> Image.Image:
    """The picture that a prompt shows for `blank`."""
    return smaller(BLANK_IMAGE, side)


def smaller(picture: Image.Image, side: int) -> Image.Image:
    """A copy whose longer side is ``side`` at most."""
    copy = picture.copy()
    copy.thumbnail((side, side), Image.Resampling.LANCZOS)
    return copy


def copied(picture: Image.Image) -> Picture:
    """A picture in whichever format takes the fewest bytes."""
    found = [(media_type, _written(picture, way, options)) for media_type, way, options in WAYS]
    media_type, content = min(found, key=lambda pair: len(pair[1]))
    return Picture(media_type, content, "", picture.width, picture.height)


def _written(picture: Image.Image, way: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, way, **options)
    return buffer.getvalue()
