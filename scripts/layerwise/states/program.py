"""What ``extract_states.py`` does: make the states of one job, and run a model only if no other job has done so."""

import logging
import time

from layerwise.jobs.cards import take_cards
from layerwise.jobs.options import Options
from layerwise.jobs.planned import Planned
from layerwise.states.assembly import assemble, is_whole
from layerwise.states.device import start_torch
from layerwise.states.job import Job
from layerwise.states.work import WorkFolder, make_once, work_folder

log = logging.getLogger(__name__)


def make_states(options: Options, cards: int, threads: int) -> None:
    """Write a job's states file: from kept states, from the parts that another job made, or by running the model.

    Args:
        options: the job.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.

    Raises:
        InputError: when the input is wrong, before torch is imported; or see :func:`layerwise.states.running.run_job`.
    """
    planned = Planned(options.work)
    planned.begin(options.out)
    # This checks the input. Torch and the weights are loaded later.
    job = Job(options)
    if not job.kept.take(job.holds) and not _put_together(job):
        _run_model(job, planned, cards, threads)


def _put_together(job: Job) -> bool:
    """Write the states from the parts that another job made; False where parts are missing."""
    for fingerprint in job.fingerprints():
        with work_folder(job.options.work, fingerprint) as work:
            if (finished := work.finished()) and is_whole(job, work):
                log.info("its parts were made by the job of %s, whose log says how", finished["by"])
                assemble(job, work)
                job.kept.keep()
                work.remove()
                return True
    return False


def _run_model(job: Job, planned: Planned, cards: int, threads: int) -> None:
    """Run the model over the job's inputs, then over those of other jobs that would otherwise load it again."""
    # The GPUs stay locked until the process ends.
    take_cards(cards)
    # Timed from here: the job may have waited hours for GPUs, and that is not a cost of loading.
    began = time.monotonic()
    device = start_torch(threads)
    from layerwise.models.opening import open_model
    from layerwise.states.going_on import go_on, read_beside
    from layerwise.states.running import run_job

    options = job.options

    def make(work: WorkFolder) -> None:
        # Another job may have made the parts while this one waited for the lock.
        if not is_whole(job, work):
            model = open_model(job.description, device, device_map=options.device_map)
            loaded = time.monotonic()
            log.info("loaded the model")
            # In one pass with further positions of the same inputs. What it leaves to do is done, and checked, here.
            read_beside(model, job, work, device, options.out)
            run_job(model, job, work, device, options.out)
            # Write this job's states last: Snakemake deletes the outputs of a killed job, but not its parts.
            go_on(model, device, options, planned, began, loaded)
        assemble(job, work)

    make_once(options.work, job.fingerprint(device), job.kept, job.holds, make)
