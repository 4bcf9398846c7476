"""The pictures that models are shown."""

from pathlib import Path
from typing import overload

from PIL import Image

from layerwise.datasets.pictures import upright_rgb
from layerwise.errors import InputError
from layerwise.stimuli.modalities import BLANK

# Medium grey tells a vision tower least. All of them can scale from this size.
BLANK_IMAGE = Image.new("RGB", (448, 448), (128, 128, 128))


@overload
def read_image(path: str | Path) -> Image.Image: ...


@overload
def read_image(path: None) -> None: ...


@overload
def read_image(path: str | Path | None) -> Image.Image | None: ...


def read_image(path: str | Path | None) -> Image.Image | None:
    """A picture, upright and in RGB; a grey one for ``BLANK``, None for None.

    Raises:
        InputError: when the file cannot be decoded.
    """
    if path is None:
        return None
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
