"""What every command-line program under ``scripts/`` shares: one way to start, to fail and to write a file."""

import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from layerwise.errors import InputError


def run(main: Callable[[], None]) -> None:
    """Run a program; an :class:`InputError` ends it with one line on stderr and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")


@contextmanager
def finished_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on success fsync it and rename it, on failure remove it.

    A reader therefore sees the whole file or none, whenever the job is killed. What a killed job leaves under the
    temporary name is overwritten by the next try.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The suffix stays last: writers such as matplotlib and pandas choose the format by it.
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield partial
        sync(partial)
        os.replace(partial, path)
        sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync(path: str | Path) -> None:
    """Have a file, or a folder's list of names, written to the disk itself: it then survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
