"""Go on with other cells of a model that has been loaded: weights are read once, not once for each prompt.

What is made lies in those cells' work folders. Their own jobs find it there, and only put it together.
"""

import logging
import time
from pathlib import Path

import torch

from layerwise.jobs.locks import Taken
from layerwise.jobs.options import Options
from layerwise.jobs.planned import Planned
from layerwise.models.frozen import FrozenModel
from layerwise.states.job import Job
from layerwise.states.running import run_job
from layerwise.states.work import work_folder

log = logging.getLogger(__name__)

# How many times as long as its start a job may work, others' cells included, before it begins another one: loading then
# takes at most a twentieth of the time, and no cell waits long for others before it is probed.
WORTH_A_START = 20


def go_on(model: FrozenModel, device: str, own: Options, planned: Planned, began: float, loaded: float) -> None:
    """Extract what the run has still to make of this model and no other job is at, one cell after the other.

    An error in another cell is that cell's: it is logged, and its own job will meet it and report it.

    Args:
        model: loaded.
        device: where.
        own: the job that loaded it.
        planned: what the run has still to begin.
        began: when it began to start, by ``time.monotonic``.
        loaded: when the model was loaded.
    """
    for options in planned.of_model(own.model):
        if time.monotonic() - loaded > WORTH_A_START * (loaded - began):
            log.info("other cells are left to other jobs, so that this one's states are not waited for any longer")
            return
        try:
            _extract(model, device, options, planned, own.out)
        except Taken:
            continue
        except Exception as error:
            log.warning("%s is left to its own job: %s", options.out, error)


def _extract(model: FrozenModel, device: str, options: Options, planned: Planned, by: Path) -> None:
    # Stimuli that are not there, the run has not come to.
    if not planned.waits(options) or not options.stimuli.is_dir():
        return
    job = Job(options)
    if job.holds(options.out) or job.kept.are_there():
        return
    with work_folder(options.work, job.fingerprint(device), wait=False) as work:
        # Asked again under the lock: a job that begins now waits for it.
        if not planned.waits(options) or work.finished():
            return
        log.info("going on with %s, whose own job will find it done", options.out)
        if torch.cuda.is_available():
            # What the cell before took. Here, because after an error of the device this is one, too.
            torch.cuda.empty_cache()
        run_job(model, job, work, device, by)
