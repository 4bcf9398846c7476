"""Read the text files of a data set: UTF-8, JSON, one record a line. Errors name what is unreadable, and the fix."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from layerwise.errors import InputError

# How files begin that are no plain text.
COMPRESSED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
BOM = b"\xef\xbb\xbf"


def raw_lines(file: str | Path, what: str = "") -> Iterator[str]:
    """The lines of a UTF-8 file with their ends, one after the other, without a byte order mark.

    Only a line feed ends a line: text in JSON or CSV may hold other separators, such as U+2028.

    Args:
        file: to read.
        what: it should be, for the message when it is missing.

    Raises:
        InputError: when the file is missing, compressed, or not UTF-8; of the last it names the line.
    """
    with _opened(Path(file), what) as content:
        for number, line in enumerate(content, start=1):
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                byte = line[error.start]
                raise InputError(
                    f"{file}, line {number}: not UTF-8 (the byte 0x{byte:02x}); save the file as UTF-8"
                ) from error


def read_lines(file: str | Path, what: str = "") -> Iterator[tuple[int, str]]:
    """The lines that are not blank, stripped, each with its number (from 1). Raises as :func:`raw_lines` does."""
    for number, line in enumerate(raw_lines(file, what), start=1):
        if text := line.strip():
            yield number, text


def read_records(file: str | Path, fields: tuple[str, ...], what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The JSON objects of a file that holds one a line, each with its line's number.

    Raises:
        InputError: on a line that is no JSON object, or lacks one of ``fields``; and as :func:`raw_lines` does.
    """
    for number, line in read_lines(file, what):
        record = _parsed(line, f"{file}, line {number}", "correct the line or take it out")
        if not isinstance(record, dict):
            raise InputError(f"{file}, line {number}: not a JSON object such as {{{', '.join(map(repr, fields))}}}")
        if missing := [field for field in fields if field not in record]:
            raise InputError(f"{file}, line {number}: there is no field {missing[0]!r}")
        yield number, record


def read_json(file: str | Path, what: str) -> dict[str, Any]:
    """A file that holds one JSON object; if it does not, the error says ``what`` it should be.

    Raises:
        InputError: on other content, and as :func:`raw_lines` does.
    """
    content = _parsed("".join(raw_lines(file, what)), str(file), "download it again")
    if not isinstance(content, dict):
        raise InputError(f"{file}: its top level is no JSON object; it should be {what}")
    return content


def is_text(value: Any) -> bool:
    """Whether a value is text that shows something, and can be written as UTF-8."""
    if not isinstance(value, str) or not any(letter.isprintable() and not letter.isspace() for letter in value):
        return False
    # JSON can spell half of a surrogate pair, which is no character.
    return not any("\ud800" <= letter <= "\udfff" for letter in value)


def shown(value: Any) -> str:
    """A value as a message shows it: short, and never the content of a picture."""
    if isinstance(value, bytes | bytearray):
        return f"{len(value)} bytes"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@contextmanager
def _opened(file: Path, what: str) -> Iterator[BinaryIO]:
    """A file of plain text, behind its byte order mark."""
    try:
        opened = file.open("rb")
    except FileNotFoundError as error:
        packed = next((other.name for other in file.parent.glob("*") if other.name.startswith(f"{file.name}.")), None)
        hint = f", but {packed}; unpack it" if packed else f"; it should be {what}" if what else ""
        raise InputError(f"{file}: there is no such file{hint}") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror})") from error
    with opened:
        beginning = opened.read(8)
        for magic, name in COMPRESSED.items():
            if beginning.startswith(magic):
                raise InputError(f"{file}: compressed ({name}), though its name does not say so; unpack it")
        if beginning.startswith(UTF_16):
            raise InputError(f"{file}: written in UTF-16; save it as UTF-8")
        opened.seek(len(BOM) if beginning.startswith(BOM) else 0)
        yield opened


def _parsed(text: str, where: str, fix: str) -> Any:
    try:
        return json.loads(text)
    # Besides malformed text: a number of thousands of digits, and brackets nested without end.
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not valid JSON ({error}); {fix}") from error
