"""Write pictures that a table holds into files, named by their content: each is there once, whoever needs it."""

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from PIL import Image, UnidentifiedImageError

from layerwise.datasets.disk import says_when_full
from layerwise.errors import InputError
from layerwise.jobs.command import sync

# Where a format has several extensions, the usual one; others have that of their name.
EXTENSIONS = {"JPEG": "jpg", "TIFF": "tif", "JPEG2000": "jp2", "MPO": "jpg"}


def write_picture(folder: Path, sha256: str, content: bytes, where: str) -> Path:
    """Write a picture to ``folder/AB/SHA256.EXT``, where AB are the first digits of its SHA-256.

    A file that has this content already is left as it is. Files are whole or absent, and several jobs may write the
    same one.

    Args:
        folder: of all pictures.
        sha256: of the content.
        content: of the picture's file.
        where: the table's file and row, for messages.

    Raises:
        InputError: when the picture cannot be decoded, or the disk is full.
    """
    path = folder / sha256[:2] / f"{sha256}.{_extension(content, where)}"
    with says_when_full(folder, "make room and run the same command again; pictures that were written are kept"):
        if _has(path, content):
            return path
        _check_whole(content, where)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another job may write the same picture now, on this machine or another one.
        partial = path.with_name(f".{sha256}.{uuid4().hex}.partial")
        try:
            partial.write_bytes(content)
            sync(partial)
            os.replace(partial, path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
    return path


def bytes_missing(folder: Path, pictures: Mapping[str, int]) -> int:
    """How many bytes are to be written for pictures, given by SHA-256 and size, that are not in the folder."""
    there = {file.stem for file in folder.glob("[0-9a-f][0-9a-f]/[!.]*")}
    return sum(size for sha256, size in pictures.items() if sha256 not in there)


def _has(path: Path, content: bytes) -> bool:
    try:
        return path.stat().st_size == len(content) and path.read_bytes() == content
    except FileNotFoundError:
        return False


def _extension(content: bytes, where: str) -> str:
    with _decodable(where), Image.open(io.BytesIO(content)) as image:
        name = image.format or "bin"
    return EXTENSIONS.get(name, name.lower())


def _check_whole(content: bytes, where: str) -> None:
    """Decode to the end, to find pictures that were cut short; as small as the format allows."""
    with _decodable(where), Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (64, 64))
        image.load()


@contextmanager
def _decodable(where: str) -> Iterator[None]:
    """Turn what Pillow raises at a picture into an :class:`InputError` that names its row."""
    try:
        yield
    except UnidentifiedImageError as error:
        # Pillow's message names a place in memory.
        raise InputError(f"{where}: the picture is in no known format; replace it, or take the row out") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{where}: the picture cannot be decoded ({error}); replace it, or take the row out"
        ) from error
