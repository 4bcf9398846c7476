"""The lines of a text table: UTF-8 or UTF-16, packed or not."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from layerwise.datasets.tables.files import beginning_of
from layerwise.datasets.text_files import UTF_16, raw_lines
from layerwise.errors import InputError

UTF_32 = (b"\xff\xfe\0\0", b"\0\0\xfe\xff")


def unicode_lines(file: Path) -> Iterator[str]:
    """The lines of a file with their ends, without a byte order mark. Only a line feed ends a line.

    Raises:
        InputError: when the file is missing, empty or damaged, or holds other bytes than UTF-8, or UTF-16 behind a byte
            order mark; it names the line.
    """
    for number, line in enumerate(_lines(file), start=1):
        if "\0" in line:
            raise InputError(
                f"{file}, line {number}: a NUL character; the file is damaged, or in an encoding that it does not "
                "name: save it as UTF-8"
            )
        yield line


def _lines(file: Path) -> Iterator[str]:
    beginning = beginning_of(file)
    if file.suffix.lower() == ".gz":
        try:
            with gzip.open(file) as stream:
                yield from _decoded(file, stream, stream.read(4))
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(
                f"{file}: cannot be unpacked ({error}); it is cut short or damaged: fetch it again"
            ) from error
    elif beginning.startswith(UTF_16 + UTF_32):
        with file.open("rb") as stream:
            yield from _decoded(file, stream, stream.read(4))
    else:
        yield from raw_lines(file)


def _decoded(file: Path, stream: BinaryIO | gzip.GzipFile, beginning: bytes) -> Iterator[str]:
    if beginning.startswith(UTF_32):
        raise InputError(f"{file}: written in UTF-32; save it as UTF-8")
    encoding = "UTF-16" if beginning.startswith(UTF_16) else "UTF-8"
    decoder = codecs.getincrementaldecoder("utf-16" if encoding == "UTF-16" else "utf-8-sig")()
    number, text = 1, ""
    try:
        # Pieces end at each byte 0x0a. In UTF-8 that is a line; in UTF-16 it may be half of any letter.
        for piece in chain([beginning], stream):
            *lines, text = (text + decoder.decode(piece)).split("\n")
            for line in lines:
                yield f"{line}\n"
            number += len(lines)
        text += decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise InputError(
            f"{file}, line {number}: not {encoding} (the byte 0x{byte:02x}); save the file as UTF-8"
        ) from error
    if text:
        yield text
