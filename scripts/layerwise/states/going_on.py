"""Go on with other cells of a loaded model, so that weights are read once and not once for each prompt.

And read further positions of a cell in the pass that reads its own (:mod:`layerwise.states.further`). The parts go to
those cells' own work folders. Their jobs find them there and only put them together.
"""

import logging
import time
from pathlib import Path

import torch

from layerwise.jobs.locks import Taken
from layerwise.jobs.options import Options
from layerwise.jobs.planned import Planned
from layerwise.models.frozen import FrozenModel
from layerwise.states.further.joint import run_joint, waiting_beside
from layerwise.states.job import Job
from layerwise.states.running import run_job
from layerwise.states.work import WorkFolder, work_folder

log = logging.getLogger(__name__)

# A job starts no other cell once it has worked this many times as long as it took to start. Loading then takes at most
# a twentieth of the time, and no cell waits long for others before it is probed.
WORTH_A_START = 20


def go_on(model: FrozenModel, device: str, own: Options, planned: Planned, began: float, loaded: float) -> None:
    """Extract the run's other cells of this model that no job has begun, one after the other.

    An error in another cell is logged and left to that cell's own job, which will meet and report it.

    Args:
        model: the loaded model.
        device: where it is.
        own: the job that loaded it.
        planned: what the run has yet to start.
        began: when the job began to load, by ``time.monotonic``.
        loaded: when the model was loaded.
    """
    for options in planned.of_model(own.model):
        if time.monotonic() - loaded > WORTH_A_START * (loaded - began):
            log.info("other cells are left to other jobs, so that this cell's states are not delayed any longer")
            return
        try:
            _extract(model, device, options, planned, own.out)
        except Taken:
            continue
        except Exception as error:
            log.warning("%s is left to its own job: %s", options.out, error)


def _extract(model: FrozenModel, device: str, options: Options, planned: Planned, by: Path) -> None:
    # The run may not have made the stimuli yet.
    if not planned.waits(options) or not options.stimuli.is_dir():
        return
    job = Job(options)
    if job.holds(options.out) or job.kept.are_there():
        return
    with work_folder(options.work, job.fingerprint(device), wait=False) as work:
        # Check again under the lock: a job that begins now waits for it.
        if not planned.waits(options) or work.finished():
            return
        log.info("going on with %s, whose own job will find it done", options.out)
        if torch.cuda.is_available():
            # Free the memory of the previous cell. Within the caller's `try`, as a failed device fails at this too.
            torch.cuda.empty_cache()
        read_beside(model, job, work, device, by)
        run_job(model, job, work, device, by)


def read_beside(model: FrozenModel, job: Job, work: WorkFolder, device: str, by: Path) -> None:
    """Run a job in one pass with the run's jobs for further positions of its inputs; nothing where there are none.

    Its own parts are there afterwards. An error is logged and left to the jobs, each of which will meet its own.

    Args:
        model: the loaded model.
        job: a cell's main job, whose parts may be missing.
        work: where they are kept.
        device: where the model is.
        by: the states file of the job that does the work.
    """
    with waiting_beside(job, device) as others:
        if not others:
            return
        log.info("reading %s in the same pass", ", ".join(other.position for other, _ in others))
        try:
            run_joint(model, job, work, others, device, by)
        except Exception as error:
            log.warning("further positions are left to their own jobs: %s", error)
