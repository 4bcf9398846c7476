"""Picture files: those that cannot be read are named, before anything is run."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from PIL import Image, UnidentifiedImageError

from layerwise.errors import InputError

Result = TypeVar("Result")


def check_images(paths: Iterable[str]) -> dict[str, str]:
    """SHA-256 of each image file, after checking that Pillow can decode it.

    Raises:
        InputError: naming the first file that is missing, empty or no image.
    """

    def check(path: str) -> str:
        with readable(path):
            content = Path(path).read_bytes()
            with Image.open(path) as image:
                # Decoded to the end, to find files that were cut short now and not during an extraction; as small as
                # the format allows.
                image.draft("RGB", (64, 64))
                image.load()
        return hashlib.sha256(content).hexdigest()

    return of_each(check, paths)


def of_each(do: Callable[[str], Result], paths: Iterable[str], threads: int | None = None) -> dict[str, Result]:
    """What ``do`` gives for each path, in parallel."""
    unique = sorted(set(paths))
    with ThreadPoolExecutor(threads) as pool:
        return dict(zip(unique, pool.map(do, unique), strict=True))


@contextmanager
def readable(path: str) -> Iterator[None]:
    """Turn what Pillow raises at a file into an :class:`InputError` that names it."""
    try:
        yield
    except FileNotFoundError as error:
        if not (folder := Path(path).parent).is_dir():
            raise InputError(f"{folder}: there is no such folder, but annotations name its images") from error
        raise InputError(f"{path}: the image is missing; the annotations name it") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error}); replace the file") from error
