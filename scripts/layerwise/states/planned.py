"""Which extractions a run has still to begin, so that a job that has loaded a model can go on with others of it.

When a run starts on one machine, each of its extractions is written to a file of its own, which its job deletes when it
begins: nobody goes on with a job that runs, has failed, or has ended.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from layerwise.command import WORKFLOW_PID
from layerwise.states.options import Options

PREFIX = "planned-"


def write_planned(work: Path, process: int, jobs: Iterable[dict[str, Any]]) -> None:
    """Write down the extractions of a run, and forget those of earlier runs.

    Args:
        work: folder for work in progress.
        process: the run's.
        jobs: the options of each, as JSON has them.
    """
    forget_planned(work)
    folder = work / f"{PREFIX}{process}"
    folder.mkdir(parents=True)
    # No job runs yet that could read half a file.
    for job in jobs:
        _file(folder, job["out"]).write_text(json.dumps(job))


def forget_planned(work: Path) -> None:
    """Delete what runs have written down."""
    for folder in work.glob(f"{PREFIX}*"):
        shutil.rmtree(folder)


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
            except FileNotFoundError:
                # Its job has begun.
                continue
        for job in sorted(told, key=lambda job: job["out"]):
            if Path(job["model"]) == model:
                paths = {key: Path(job[key]) for key in ("model", "stimuli", "out")}
                kept = Path(job["kept"]) if job["kept"] else None
                yield Options(**job | paths | {"work": self.work, "kept": kept, "shard": tuple(job["shard"])})
