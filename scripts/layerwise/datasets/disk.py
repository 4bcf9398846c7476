"""Full disks and missing files, in one line each, and before the work where possible."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from layerwise.errors import InputError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def readable(size: int) -> str:
    """A number of bytes as a person reads it."""
    value, units = float(size), ["bytes", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} bytes" if units[0] == "bytes" else f"{value:.1f} {units[0]}"


def is_file(path: str | Path) -> bool:
    """Whether a file exists. False for names that are too long, and below folders that may not be entered."""
    return _asked(Path(path).is_file)


def is_dir(path: str | Path) -> bool:
    """Whether a folder exists, see :func:`is_file`."""
    return _asked(Path(path).is_dir)


def _asked(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:
        return False


def check_writable(folder: str | Path, key: str) -> None:
    """Refuse to begin where nothing can be written.

    Args:
        folder: need not exist yet.
        key: of the config, that names it.

    Raises:
        InputError: when the disk may only be read, or the folder is someone else's.
    """
    folder = Path(folder).absolute()
    # os.access, because Path.exists raises below folders that may not be entered.
    there = next(place for place in (folder, *folder.parents) if os.access(place, os.F_OK))
    if os.access(there, os.W_OK | os.X_OK):
        return
    why = "the disk may only be read" if os.statvfs(there).f_flag & os.ST_RDONLY else "you may not write there"
    raise InputError(
        f"{there}: {why}; nothing that was finished is lost: mend that and run the same command again, or set {key} to "
        "another folder"
    )


def check_free_space(folder: Path, needed: int, what: str) -> None:
    """Refuse to begin what the disk under ``folder`` cannot hold.

    Raises:
        InputError: when fewer than ``needed`` bytes are free there.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {what} needs {readable(needed)}, but {readable(free)} are free; make room, or set "
            "pathvars.data to a folder on another disk"
        )


@contextmanager
def says_when_full(folder: Path, then: str) -> Iterator[None]:
    """Turn "no space left" while writing under ``folder`` into one error; ``then`` says what became of the work."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise InputError(f"{folder}: the disk (or your quota on it) is full; {then}") from error
