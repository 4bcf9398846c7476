"""Run several positions of the same inputs in one forward pass, into the work folder of each."""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from layerwise.jobs.beside import beside
from layerwise.jobs.locks import Taken
from layerwise.models.frozen import FrozenModel
from layerwise.models.marked.prompts import MarkedPrompt, marks_of
from layerwise.states.further.job import PositionJob
from layerwise.states.job import Job
from layerwise.states.running import run_job
from layerwise.states.work import WorkFolder, work_folder

log = logging.getLogger(__name__)


class SharedOut(WorkFolder):
    """The work folders of jobs that run together. What is saved goes to each, as far as it is its own.

    Args:
        folders: with the positions of each.
    """

    def __init__(self, folders: Sequence[tuple[WorkFolder, Sequence[str]]]):
        self.folders = folders

    def save(self, start: int, stop: int, values: Mapping[str, ArrayLike]) -> None:
        """See :meth:`WorkFolder.save`."""
        for work, positions in self.folders:
            work.save(start, stop, {position: values[position] for position in positions})

    def load(self, start: int, stop: int, names: Sequence[str]) -> dict[str, np.ndarray] | None:
        """A part that all folders have; None otherwise."""
        found: dict[str, np.ndarray] = {}
        for work, positions in self.folders:
            if (values := work.load(start, stop, positions)) is None:
                return None
            found |= values
        return found

    def finish(self, description: dict[str, Any]) -> None:
        """See :meth:`WorkFolder.finish`."""
        for work, _ in self.folders:
            work.finish(description)


def run_joint(
    model: FrozenModel,
    lead: Job,
    work: WorkFolder,
    others: Sequence[tuple[PositionJob, WorkFolder]],
    device: str,
    by: Path,
) -> None:
    """Run a job and others with the same inputs together; see :func:`layerwise.states.running.run_job`.

    Args:
        model: the loaded model.
        lead: the job that decides how they run.
        work: where its parts are kept.
        others: the others, and where theirs are kept.
        device, by: as there.
    """
    # Imported here, as authors' code may run with a transformers too old for it. Such models have no further positions.
    from layerwise.models.marked.reading import reading_marks

    jobs = [lead, *(job for job, _ in others)]
    marked = [
        MarkedPrompt(
            str(prompts[0]), {position: mark for prompt in prompts for position, mark in marks_of(prompt).items()}
        )
        for prompts in zip(*(job.inputs["prompt"] for job in jobs), strict=True)
    ]
    joint = copy.copy(lead)
    joint.positions = [position for job in jobs for position in job.positions]
    joint.inputs = lead.inputs.assign(prompt=pd.Series(marked, index=lead.inputs.index, dtype=object))
    folders = [(work, lead.positions), *((folder, job.positions) for job, folder in others)]
    run_job(reading_marks(model), joint, SharedOut(folders), device, by)


@contextmanager
def waiting_beside(lead: Job, device: str) -> Iterator[list[tuple[PositionJob, WorkFolder]]]:
    """The run's jobs for further positions of the same inputs whose states are missing, with their locked folders."""
    with ExitStack() as stack:
        found = []
        for options in beside(lead.options.work, lead.options.out):
            try:
                job = PositionJob(options)
                if job.holds(options.out) or job.kept.are_there() or not _same_inputs(job, lead):
                    continue
                work = stack.enter_context(work_folder(options.work, job.fingerprint(device), wait=False))
            except Taken:
                continue
            except Exception as error:
                log.warning("%s is left to its own job: %s", options.out, error)
                continue
            if not work.finished():
                found.append((job, work))
        yield found


def _same_inputs(job: Job, lead: Job) -> bool:
    keys = ["image", "prompt"]
    return len(job.inputs) == len(lead.inputs) and all(
        list(map(_plain, job.inputs[key])) == list(map(_plain, lead.inputs[key])) for key in keys
    )


def _plain(value: Any) -> str:
    return "" if value is None or value != value else str(value)
