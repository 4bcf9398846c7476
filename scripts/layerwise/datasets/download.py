"""Download a file: resumed where it was broken off, checked, and under its own name only when it is whole.

Until then it lies beside its place as ``NAME.partial``, which no workflow knows and so none deletes: a killed job, a
dead server or a full disk costs what was not yet written, and the next job asks for the rest (HTTP ``Range``, RFC 9110,
section 14). A server that ignores the question sends the file from its start.
"""

import hashlib
import logging
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from tqdm import tqdm

from layerwise.command import sync
from layerwise.datasets.archives import check_archive
from layerwise.datasets.disk import check_free_space, readable, says_when_full
from layerwise.errors import InputError
from layerwise.locks import one_at_a_time

log = logging.getLogger(__name__)

CHUNK = 1 << 16
# Seconds to wait for a connection, and for the next bytes.
TIMEOUT = (20, 60)
LONGEST_WAIT = 60
# Answers that may be another one in a moment: timeouts, too many requests, and the server's own failures.
PASSING = {408, 425, 429, 500, 502, 503, 504}
NO_ADDRESS = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema)


@dataclass(frozen=True)
class Expected:
    """What is known of a file in advance; None where it is not."""

    size: int | None = None
    md5: str | None = None
    sha256: str | None = None


class _MayPass(Exception):
    """A failure that another try may not meet."""


class _OfNoUse(_MayPass):
    """The server's file is not the one that the bytes kept so far are of."""


def download(
    url: str, path: Path, expected: Expected, *, key: str = "sources", attempts: int = 6, first_wait: float = 1.0
) -> dict[str, Any]:
    """Bring ``url`` to ``path``; a file that is there already is checked and kept.

    Args:
        url: http or https.
        path: where the file belongs. Its suffix says what is checked inside: .zip, .tar.gz, .gz.
        expected: size and checksums; without a checksum every member of an archive is read and checked instead.
        key: the config key that gives the address, for messages.
        attempts: tries in a row that bring nothing new before it gives up.
        first_wait: seconds before the second try; doubled before each further one.

    Returns:
        The receipt: ``file``, ``bytes`` and ``sha256``, the same whichever mirror it came from.

    Raises:
        InputError: the address is wrong, the server stays away, the disk is or would be full, or the file is not the
            one that the config describes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    with one_at_a_time(path.with_name(f".{path.name}.lock"), f"in {path.parent}"):
        if path.exists():
            try:
                return _verified(path, path.name, expected, key)
            except InputError as error:
                raise InputError(f"{error}; delete the file to download it, or correct {key}") from error
        for tried_again in (False, True):
            resumed = _fetch(url, partial, expected.size, key, attempts, first_wait)
            try:
                receipt = _verified(partial, path.name, expected, key)
                break
            except InputError as error:
                partial.unlink()
                if tried_again or not resumed:
                    raise InputError(f"{error}; it came from {url} and was removed") from error
                # Its two halves may be of two files: what lies at an address can change between two tries.
                log.warning("%s; starting again from its first byte", error)
        sync(partial)
        os.replace(partial, path)
        sync(path.parent)
    return receipt


def _fetch(url: str, partial: Path, size: int | None, key: str, attempts: int, first_wait: float) -> bool:
    """Bring ``partial`` to its full length; whether it began with bytes of an earlier try."""
    resumed, failures = False, 0
    while True:
        have = partial.stat().st_size if partial.exists() else 0
        if size is not None and have == size:
            return True
        try:
            resumed |= _continue(url, partial, have, size, key)
            return resumed
        except _MayPass as failure:
            if isinstance(failure, _OfNoUse):
                partial.unlink()
            reached = partial.stat().st_size if partial.exists() else 0
            failures = 1 if reached > have else failures + 1
            if failures >= attempts:
                raise InputError(
                    f"{url}: {failure} ({failures} tries); {readable(reached)} are kept in {partial}, and the same "
                    f"command goes on from there. If the address is wrong, correct {key}"
                ) from failure
            wait = min(first_wait * 2 ** (failures - 1), LONGEST_WAIT)
            log.warning("%s: %s; trying again in %.0f s", url, failure, wait)
            time.sleep(wait)


def _continue(url: str, partial: Path, have: int, size: int | None, key: str) -> bool:
    """One request for all after the first ``have`` bytes; whether the server went on from there."""
    # No content coding: the bytes that are counted are those of the file.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            start, total = _where(response, have, url, key)
            if size is not None and total is not None and total != size:
                raise InputError(f"{url}: the file there has {total} bytes, but {key} says {size}; correct one of them")
            if have and start == total:
                return True
            if total is not None:
                check_free_space(partial.parent, total - have, partial.stem)
            kept = f"what was written is kept in {partial}, and the same command goes on from there"
            with says_when_full(partial.parent, kept), open(partial, "ab") as file:
                file.truncate(start)
                with _progress(partial.stem, start, total) as progress:
                    for chunk in response.raw.stream(CHUNK, decode_content=False):
                        file.write(chunk)
                        progress.update(len(chunk))
                        if size is not None and file.tell() > size:
                            break
            if size is not None and partial.stat().st_size < size:
                raise _MayPass("the connection ended early")
    except NO_ADDRESS as error:
        raise InputError(f"{url}: not an address ({error}); correct {key}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _MayPass(_reason(error)) from error
    return start > 0


def _where(response: requests.Response, have: int, url: str, key: str) -> tuple[int, int | None]:
    """At which byte of the file the answer's body begins, and how many the file has in all."""
    status = response.status_code
    if status == 200:
        if have:
            log.info("%s: the server sends the file from its first byte", url)
        length = response.headers.get("Content-Length")
        return 0, int(length) if length else None
    if status in (206, 416):
        span = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
        start, total = span.groups() if span else (None, None)
        total = int(total) if total and total.isdigit() else None
        if status == 206 and start is not None and int(start) == have:
            return have, total
        if status == 416 and total == have:
            return have, have
        raise _OfNoUse(f"the server's answer {status} does not fit the {have} bytes that are here")
    if status in PASSING:
        raise _MayPass(f"the server answers {status} {response.reason}")
    raise InputError(f"{url}: the server answers {status} {response.reason}; correct the address in {key}")


def _verified(file: Path, name: str, expected: Expected, key: str) -> dict[str, Any]:
    """The receipt of a file that is what the config describes and whole.

    Raises:
        InputError: naming what differs.
    """
    size = file.stat().st_size
    if expected.size is not None and size != expected.size:
        raise InputError(f"{name}: it has {size} bytes, but {key} says {expected.size}")
    digests = {"sha256": hashlib.sha256(), **({"md5": hashlib.md5()} if expected.md5 else {})}
    with open(file, "rb") as content, _progress(f"checking {name}", 0, size) as progress:
        while chunk := content.read(CHUNK * 16):
            for digest in digests.values():
                digest.update(chunk)
            progress.update(len(chunk))
    for kind, wanted in (("md5", expected.md5), ("sha256", expected.sha256)):
        if wanted and digests[kind].hexdigest() != wanted:
            raise InputError(f"{name}: its {kind} is {digests[kind].hexdigest()}, but {key} says {wanted}")
    check_archive(file, name, thorough=not (expected.md5 or expected.sha256))
    return {"file": name, "bytes": size, "sha256": digests["sha256"].hexdigest()}


def _progress(what: str, start: int, total: int | None) -> tqdm:
    # A line now and then where the output is a log.
    pause = 0.5 if sys.stderr.isatty() else 10
    return tqdm(total=total, initial=start, desc=what, unit="B", unit_scale=True, mininterval=pause, maxinterval=60)


def _reason(error: BaseException) -> str:
    """A network failure in a few words: the innermost cause says what happened, the layers above it repeat it."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"
