"""Which extractions a run has still to begin, so that a job that has loaded a model can go on with others of it.

When a run starts on one machine, each of its extractions is written to a file of its own, which its job deletes when it
begins: nobody goes on with a job that runs, has failed, or has ended.
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
        process: the run's.
        jobs: the options of each, as JSON has them.
    """
    folder = work / f"{PREFIX}{process}"
    try:
        forget_planned(work)
        # No job runs yet that could read half a file.
        for job in jobs:
            folder.mkdir(parents=True, exist_ok=True)
            _file(folder, job["out"]).write_text(json.dumps(job))
    except OSError as error:
        # Jobs that write nothing here may still run, and the others say better what is wrong with the disk.
        log.warning(
            "%s: %s; extractions that are not listed there load their models themselves", folder, error.strerror
        )


def forget_planned(work: Path) -> None:
    """Delete what runs have written down."""
    for folder in work.glob(f"{PREFIX}*"):
        for file in folder.iterdir():
            # A job of another run may begin now, and delete its own.
            file.unlink(missing_ok=True)
        folder.rmdir()


def forget_when_stopped(work: Path) -> None:
    """Have this process, when it is told to stop, first delete what it has written down.

    Snakemake then begins nothing more, but waits for the jobs that run: each ends with the cell that it is at.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)
        # What is ignored (Ctrl-C, of a command in the background) stays so.
        if callable(before):
            signal.signal(number, partial(_forget_first, work, before))


def _forget_first(work: Path, before: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None):
    try:
        forget_planned(work)
    finally:
        before(number, frame)


def _file(folder: Path, out: str | Path) -> Path:
    return folder / f"{hashlib.sha256(str(out).encode()).hexdigest()[:32]}.json"


class Planned:
    """What the run that started this job has still to begin; nothing where there is no such run.

    Args:
        work: folder for work in progress.
    """

    def __init__(self, work: Path):
        self.work = work
        self.folder = work / f"{PREFIX}{os.environ.get(WORKFLOW_PID, 'none')}"

    def begin(self, out: Path) -> None:
        """Let no other job go on with this one any more."""
        _file(self.folder, out).unlink(missing_ok=True)

    def waits(self, options: Options) -> bool:
        """Whether a job has not begun."""
        return _file(self.folder, options.out).exists()

    def of_model(self, model: Path) -> Iterator[Options]:
        """The jobs over a model that have not begun, in order of their outputs."""
        told = []
        for file in self.folder.glob("*.json"):
            try:
                told.append(json.loads(file.read_text()))
            except (FileNotFoundError, ValueError):
                # Its job has begun, or the disk did not take all of it.
                continue
        for job in sorted(told, key=lambda job: job["out"]):
            if Path(job["model"]) == model:
                paths = {key: Path(job[key]) for key in ("model", "stimuli", "out")}
                kept = Path(job["kept"]) if job["kept"] else None
                yield Options(**job | paths | {"work": self.work, "kept": kept, "shard": tuple(job["shard"])})
