"""What ``extract_position.py`` does: make the states at one further position, in a pass with others if there are."""

import hashlib
import json
import logging

from layerwise.errors import InputError
from layerwise.jobs.cards import take_cards
from layerwise.jobs.locks import one_at_a_time
from layerwise.jobs.options import Options
from layerwise.states.assembly import assemble, is_whole
from layerwise.states.device import start_torch
from layerwise.states.further.job import PositionJob
from layerwise.states.work import WorkFolder, make_once, work_folder

log = logging.getLogger(__name__)


def make_position(options: Options, cards: int, threads: int) -> None:
    """Write a states file of one position: from kept states, from parts that another job made, or by running the model.

    Args:
        options: the job.
        cards: how many GPUs to take where no scheduler assigned any.
        threads: how many threads torch may use.

    Raises:
        InputError: when the input is wrong, or see :func:`layerwise.states.running.run_job`.
    """
    job = PositionJob(options)
    if job.kept.take(job.holds) or _put_together(job):
        return
    # Of the jobs over the same inputs one runs, for all of them.
    same = {key: value for key, value in job.cell.items() if key not in ("positions", "boxes")}
    name = hashlib.sha256(json.dumps([same, options.shard], sort_keys=True).encode()).hexdigest()[:32]
    with one_at_a_time(options.work / f"{name}.pass.lock", f"on the inputs of {options.out}"):
        if not _put_together(job):
            _run_model(job, cards, threads)


def _put_together(job: PositionJob) -> bool:
    """Write the states from parts that another job made; False where some are missing."""
    for fingerprint in job.fingerprints():
        with work_folder(job.options.work, fingerprint) as work:
            if (finished := work.finished()) and is_whole(job, work):
                log.info("its parts were made by the job of %s, whose log says how", finished["by"])
                assemble(job, work)
                job.kept.keep()
                work.remove()
                return True
    return False


def _run_model(job: PositionJob, cards: int, threads: int) -> None:
    take_cards(cards)
    device = start_torch(threads)
    from layerwise.models.opening import open_model
    from layerwise.states.further.joint import run_joint, waiting_beside

    def make(work: WorkFolder) -> None:
        if not is_whole(job, work):
            model = open_model(job.description, device, device_map=job.options.device_map)
            log.info("loaded the model")
            with waiting_beside(job, device) as others:
                try:
                    run_joint(model, job, work, others, device, job.options.out)
                except InputError as error:
                    if not others:
                        raise
                    log.warning("other positions are left to their own jobs: %s", error)
                    run_joint(model, job, work, [], device, job.options.out)
        assemble(job, work)

    make_once(job.options.work, job.fingerprint(device), job.kept, job.holds, make)
