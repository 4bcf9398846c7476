"""Which extractions a run has yet to start, so that a job that has loaded a model can go on with others of it.

When a run starts on one machine, it writes a file for each of its extractions. A job deletes its own file when it
begins. So no other job goes on with one that runs, has failed or has ended.
"""

import hashlib
import json
import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from layerwise.jobs.command import WORKFLOW_PID
from layerwise.jobs.options import Options

log = logging.getLogger(__name__)

PREFIX = "planned-"


def write_planned(work: Path, process: int, jobs: Iterable[dict[str, Any]]) -> None:
    """Write down the extractions of a run, and forget those of earlier runs.

    Args:
        work: folder for work in progress.
        process: the run's process id.
        jobs: the options of each, as JSON has them.
    """
    folder = work / f"{PREFIX}{process}"
    try:
        forget_planned(work)
        # Written in place: no job is running yet that could read half a file.
        for job in jobs:
            folder.mkdir(parents=True, exist_ok=True)
            _file(folder, job["out"]).write_text(json.dumps(job))
    except OSError as error:
        # Jobs that write nothing here can still run. The others report better what is wrong with the disk.
        log.warning(
            "%s: %s; extractions that are not listed there load their models themselves", folder, error.strerror
        )


def forget_planned(work: Path) -> None:
    """Delete the lists of all runs."""
    for folder in work.glob(f"{PREFIX}*"):
        for file in folder.iterdir():
            # A job of another run may begin now and delete its own file.
            file.unlink(missing_ok=True)
        folder.rmdir()


def forget_when_stopped(work: Path) -> None:
    """Make this process delete its list first when it is told to stop.

    Snakemake then starts nothing more, but waits for running jobs: each ends with the cell that it is working on.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        # An ignored signal stays ignored, such as Ctrl-C for a command in the background.
        if callable(before):
            signal.signal(number, partial(_forget_first, work, before))


def _forget_first(
    work: Path, before: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None
) -> None:
    try:
        forget_planned(work)
    finally:
        before(number, frame)


def _file(folder: Path, out: str | Path) -> Path:
    return folder / f"{hashlib.sha256(str(out).encode()).hexdigest()[:32]}.json"


class Planned:
    """What the run that started this job has yet to start; nothing without such a run.

    Args:
        work: folder for work in progress.
    """

    def __init__(self, work: Path):
        self.work = work
        self.folder = work / f"{PREFIX}{os.environ.get(WORKFLOW_PID, 'none')}"

    def begin(self, out: Path) -> None:
        """Stop other jobs from going on with this one."""
        _file(self.folder, out).unlink(missing_ok=True)

    def waits(self, options: Options) -> bool:
        """Whether a job has not begun."""
        return _file(self.folder, options.out).exists()

    def of_model(self, model: Path) -> Iterator[Options]:
        """The jobs over a model that have not begun, in order of their outputs."""
        found = []
        for file in self.folder.glob("*.json"):
            try:
                found.append(json.loads(file.read_text()))
            except (FileNotFoundError, ValueError):
                # Its job has begun, or the disk was full when the file was written.
                continue
        for job in sorted(found, key=lambda job: job["out"]):
            if Path(job["model"]) == model:
                yield Options.of(job, self.work)
