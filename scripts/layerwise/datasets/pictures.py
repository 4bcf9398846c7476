"""How a picture is shown, whatever its file looks like."""

import numpy as np
from PIL import Image, ImageOps


def upright_rgb(picture: Image.Image) -> Image.Image:
    """A picture in 8-bit RGB, turned upright as its EXIF tag says.

    Transparent pixels show the colour that the file gives them, as with Pillow's ``convert``.
    """
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):
        # Pillow would clip 16-bit values at 255, which leaves a white page.
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return upright.convert("RGB")
