"""What pictures look like, to find those that were saved twice."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import imagehash
import numpy as np
import pandas as pd
import PIL
from PIL import Image

from layerwise.datasets.pictures import upright_rgb
from layerwise.jobs.command import finished_file
from layerwise.stimuli.image_files import of_each, readable

# Side of the perceptual hash: 256 bits, of the lowest frequencies of a picture of 64 x 64.
HASH_SIDE, REDUCED = 16, 64
LOOK = ["image_sha256", "pixels", "hash"]
# Another version of Pillow may decode a JPEG to other pixels, and another imagehash hash differently.
CACHED_BY = f"pillow-{PIL.__version__}.imagehash-{imagehash.__version__}.1.parquet"


def look_at(
    paths: Iterable[str], cache: Path | None = None, name: str = "", threads: int | None = None
) -> pd.DataFrame:
    """How each image file looks, fully decoded, as models are shown it.

    Args:
        paths: of image files.
        cache: folder with what earlier calls found, by the files' content; None to decode all files.
        name: of this call's file in the cache.
        threads: that decode; None for as many as there are cores.

    Returns:
        By path (index): ``image_sha256`` of the file, ``pixels``, a digest of its size and pixels, and ``hash``, the
        256 bits of imagehash's ``phash``, as 32 bytes.

    Raises:
        InputError: naming the first file that is missing, empty or no image.
    """
    seen = _cached(cache)

    def look(path: str) -> tuple[str, str, bytes]:
        with readable(path):
            content = hashlib.sha256(Path(path).read_bytes()).hexdigest()
            if content in seen:
                return content, *seen[content]
            with Image.open(path) as opened:
                picture = upright_rgb(opened)
        pixels = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).hexdigest()
        bits = imagehash.phash(reduced(picture, REDUCED), hash_size=HASH_SIDE).hash
        return content, pixels, np.packbits(bits).tobytes()

    looks = pd.DataFrame.from_dict(of_each(look, paths, threads), orient="index", columns=LOOK)
    if cache is not None and not seen.keys() >= set(looks["image_sha256"]):
        with finished_file(cache / f"{name}.{CACHED_BY}") as file:
            looks.drop_duplicates("image_sha256").to_parquet(file, index=False)
    return looks


def reduced(picture: Image.Image, side: int) -> Image.Image:
    """A picture as a square of ``side`` pixels, each the mean of what it covers."""
    return picture.resize(
        (side, side), Image.Resampling.BOX if min(picture.size) >= side else Image.Resampling.BILINEAR
    )


def thumbnails(paths: Iterable[str], side: int, threads: int | None = None) -> dict[str, np.ndarray]:
    """Each picture reduced to ``side`` x ``side`` pixels, shape (side, side, 3), uint8."""

    def make(path: str) -> np.ndarray:
        with readable(path), Image.open(path) as opened:
            return np.asarray(reduced(upright_rgb(opened), side))

    return of_each(make, paths, threads)


def _cached(cache: Path | None) -> dict[str, tuple[str, bytes]]:
    files = sorted(cache.glob(f"*.{CACHED_BY}")) if cache is not None else []
    tables = [pd.read_parquet(file) for file in files if not file.name.startswith(".")]
    return {
        content: (pixels, bits) for table in tables for content, pixels, bits in table[LOOK].itertuples(index=False)
    }
