"""The pictures that models are shown."""

from pathlib import Path

from PIL import Image

from layerwise.datasets.pictures import upright_rgb
from layerwise.errors import InputError
from layerwise.stimuli.modalities import BLANK

# A grey of middle brightness says least to a vision tower. Its size is one that all of them scale from.
BLANK_IMAGE = Image.new("RGB", (448, 448), (128, 128, 128))


def read_image(path: str | Path | None) -> Image.Image | None:
    """A picture as :func:`layerwise.datasets.pictures.upright_rgb` shows it; a grey one for ``BLANK``, none for None.

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
        raise InputError(f"{path}: the image cannot be decoded ({error}); replace the file") from error
