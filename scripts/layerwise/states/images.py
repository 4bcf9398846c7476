"""The pictures that models are shown."""

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from layerwise.datasets.pictures import upright_rgb
from layerwise.errors import InputError
from layerwise.several_pictures import each
from layerwise.stimuli.modalities import BLANK

if TYPE_CHECKING:
    from layerwise.models.frozen import Shown

# Medium grey tells a vision tower least. All of them can scale from this size.
BLANK_IMAGE = Image.new("RGB", (448, 448), (128, 128, 128))


def read_images(cell: str | None) -> "Shown":
    """What a cell of the column ``image`` shows: a picture, several in order, or None for None.

    Raises:
        InputError: when a file cannot be decoded.
    """
    if cell is None:
        return None
    pictures = tuple(map(read_image, each(cell)))
    return pictures if len(pictures) > 1 else pictures[0]


def read_image(path: str | Path) -> Image.Image:
    """A picture, upright and in RGB; a grey one for ``BLANK``.

    Raises:
        InputError: when the file cannot be decoded.
    """
    if path == BLANK:
        return BLANK_IMAGE
    try:
        with Image.open(path) as image:
            return upright_rgb(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{path}: the image cannot be decoded ({error}); replace the file. If it came out of a table, delete the "
            "folder of its stimulus set in results/stimuli and run the same command again"
        ) from error
