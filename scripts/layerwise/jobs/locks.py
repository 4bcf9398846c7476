"""Let one process at a time do a piece of work that several may start, on any machine that shares the disk."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


class Taken(Exception):
    """Another process has the lock, or may have it."""


@contextmanager
def one_at_a_time(lock: Path, what: str, wait: bool = True) -> Iterator[None]:
    """Let one process at a time into the block; others wait. The lock ends with its process, however that ends.

    On NFS it holds between machines too. Where a disk has no locks (Lustre without its option ``flock``, NFS without
    its lock service) this warns and goes on: Snakemake's own lock keeps two runs of one study apart.

    Args:
        lock: a file for the lock alone, which stays.
        what: the work, for the message while waiting: "another process works WHAT".
        wait: whether to wait for the lock.

    Raises:
        Taken: without ``wait``, when the lock is not free, or the disk has no locks.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    # Open for writing: NFS gives an exclusive lock on no other file.
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if not wait:
                raise Taken(what) from error
            log.warning("another process works %s; waiting for it", what)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if not wait:
                raise Taken(what) from error
            log.warning("%s: this disk has no locks (%s); let no other process work %s", lock, error.strerror, what)
        yield
