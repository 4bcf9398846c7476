"""The pictures that models are shown."""

from pathlib import Path

from PIL import Image, ImageOps

from layerwise.errors import InputError


def read_image(path: str | Path) -> Image.Image:
    """An RGB image, turned upright as its EXIF tag says.

    Raises:
        InputError: when the file cannot be decoded.
    """
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: the image cannot be decoded ({error}); replace the file") from error
