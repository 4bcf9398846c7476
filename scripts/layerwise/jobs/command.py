"""How every program under ``scripts/`` starts, fails and writes a file."""

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

# The workflow sets this for its jobs: its process id on this machine.
WORKFLOW_PID = "WORKFLOW_PID"

# Errors of a disk that say nothing about the file.
REFUSED = {
    errno.ENOSPC: "the disk (or your quota on it) is full",
    errno.EDQUOT: "the disk (or your quota on it) is full",
    errno.EROFS: "the disk is read-only",
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
    """Wait until a process ends, then end this one as ``kill`` would. Its finished work is on disk.

    Watching the parent is not enough: it is a shell between job and workflow, which survives the workflow.
    """
    try:
        # Linux reports the end of this very process at once, even if its number is reused.
        select.select([os.pidfd_open(process)], [], [])
    except ProcessLookupError:
        pass
    except (AttributeError, OSError):
        while _runs(process):
            time.sleep(1)
    log.error("the workflow that started this job has ended, so the job ends too; run the same command again")
    os.kill(os.getpid(), signal.SIGTERM)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, PermissionError):
        # It has ended. Another user's process may have its number by now.
        return False
    return True


@contextmanager
def finished_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; on success sync and rename that file, on failure remove it.

    A reader sees the whole file or none, whenever the job is killed. The next try overwrites the temporary file that a
    killed job leaves.

    Raises:
        InputError: when the disk is full or read-only.
    """
    path = Path(path)
    # Keep the suffix last: writers such as matplotlib and pandas choose the format by it.
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        sync(partial)
        os.replace(partial, path)
        sync(path.parent)
    except Exception as error:
        # Compare texts: the writers of HDF5, Parquet and safetensors raise different classes.
        for code, what in REFUSED.items():
            if not isinstance(error, InputError) and os.strerror(code) in str(error):
                raise InputError(
                    f"{path}: {what}; nothing that was finished is lost: fix that and run the same command again"
                ) from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def sync(path: str | Path) -> None:
    """Write a file, or a folder's list of names, through to the disk, so that it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
