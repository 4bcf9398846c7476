"""The pictures that models are shown."""

from pathlib import Path

from PIL import Image, ImageOps

from layerwise.errors import InputError
from layerwise.stimuli.modalities import BLANK

# A grey of middle brightness says least to a vision tower. Its size is one that all of them scale from.
BLANK_IMAGE = Image.new("RGB", (448, 448), (128, 128, 128))


def read_image(path: str | Path | None) -> Image.Image | None:
    """An RGB image, turned upright as its EXIF tag says; a grey one for ``BLANK``, none for None.

    Raises:
        InputError: when the file cannot be decoded.
    """
    if path is None:
        return None
    if path == BLANK:
        return BLANK_IMAGE
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: the image cannot be decoded ({error}); replace the file") from error
