"""The pictures that models are shown."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from layerwise.errors import InputError
from layerwise.stimuli.modalities import BLANK

# A grey of middle brightness says least to a vision tower. Its size is one that all of them scale from.
BLANK_IMAGE = Image.new("RGB", (448, 448), (128, 128, 128))


def read_image(path: str | Path | None) -> Image.Image | None:
    """An RGB image, turned upright as its EXIF tag says; a grey one for ``BLANK``, none for None.

    What is transparent shows the colour that the file gives it, as it does to who calls Pillow's ``convert``.

    Raises:
        InputError: when the file cannot be decoded.
    """
    if path is None:
        return None
    if path == BLANK:
        return BLANK_IMAGE
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):
                # Pillow would cut 16 bits off at 255, which leaves a white page.
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            return upright.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: the image cannot be decoded ({error}); replace the file") from error
