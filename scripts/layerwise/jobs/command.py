"""What every command-line program under ``scripts/`` shares: one way to start, to fail and to write a file."""

import errno
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from layerwise.errors import InputError

log = logging.getLogger(__name__)

# Set by the workflow for its jobs: the process that runs it on this machine.
WORKFLOW_PID = "WORKFLOW_PID"

# What a disk may answer to whoever writes to it, whatever is written.
REFUSED = {
    errno.ENOSPC: "the disk (or your quota on it) is full",
    errno.EDQUOT: "the disk (or your quota on it) is full",
    errno.EROFS: "the disk may only be read",
}


def run(main: Callable[[], None]) -> None:
    """Run a program; an :class:`InputError` ends it with one line on stderr and exit status 1.

    A program that a workflow started ends with it.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if workflow := os.environ.get(WORKFLOW_PID):
        threading.Thread(target=_end_with, args=[int(workflow)], daemon=True).start()
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")


def _end_with(process: int) -> None:
    """Wait until a process ends, then end this one as ``kill`` would: what it has finished is on disk.

    The parent itself does not tell: between a job and the workflow there is a shell, which survives it.
    """
    try:
        # Linux tells at once, and of this very process, whoever gets its number afterwards.
        select.select([os.pidfd_open(process)], [], [])
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):
        while _runs(process):
            time.sleep(1)
    log.error("the workflow that started this job has ended, and so does the job; run the same command again")
    os.kill(os.getpid(), signal.SIGTERM)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):
        # Gone, and its number may be another user's by now.
        return False
    return True


@contextmanager
def finished_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on success fsync it and rename it, on failure remove it.

    A reader therefore sees the whole file or none, whenever the job is killed. What a killed job leaves under the
    temporary name is overwritten by the next try.

    Raises:
        InputError: when the disk takes no more, or nothing at all.
    """
    path = Path(path)
    # The suffix stays last: writers such as matplotlib and pandas choose the format by it.
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        sync(partial)
        os.replace(partial, path)
        sync(path.parent)
    except Exception as error:
        # By its text: the writers of HDF5, Parquet and safetensors raise each their own.
        for code, what in REFUSED.items():
            if not isinstance(error, InputError) and os.strerror(code) in str(error):
                raise InputError(
                    f"{path}: {what}; nothing that was finished is lost: mend that and run the same command again"
                ) from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def sync(path: str | Path) -> None:
    """Have a file, or a folder's list of names, written to the disk itself: it then survives a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
