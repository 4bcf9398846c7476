"""Run one model over one stimulus set with one prompt, and keep its hidden states."""

import argparse
import json
import logging
import os
import time
from pathlib import Path

from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import run
from layerwise.jobs.options import Options
from layerwise.jobs.planned import Planned
from layerwise.states.assembly import assemble, is_whole
from layerwise.states.job import Job
from layerwise.states.work import WorkFolder, work_folder

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the states beside these, as JSON")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--sharing", choices=["auto", "always", "never"], default="auto", help="of prefixes")
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument(
        "--shard", type=int, nargs=2, default=[1, 1], metavar=("I", "N"), help="run the I-th of N shards"
    )
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take where no scheduler gave any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished states by content")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    planned = Planned(args.work)
    planned.begin(args.out)
    # Everything that can be wrong with the input comes before torch and the weights are loaded.
    told = {key: value for key, value in vars(args).items() if key not in ("cards", "threads")}
    job = Job(Options(**told | {"shard": tuple(args.shard)}))
    if job.kept.take(job.holds):
        return
    for fingerprint in job.fingerprints():
        with work_folder(args.work, fingerprint) as work:
            if is_whole(job, work):
                log.info("its shards were made by the job of %s, whose log says how", work.finished()["by"])
                finish(job, work)
                return
    run_model(job, planned, args.cards, args.threads)


def run_model(job: Job, planned: Planned, cards: int, threads: int) -> None:
    """Load the model, and run it over the job's inputs and those of other jobs that would have to load it, too."""
    # Kept until the process ends.
    take_cards(cards)
    # Not before: a card may be waited for all night, and that is no part of what loading costs.
    began = time.monotonic()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Whatever a model needs was downloaded when it was registered. Nodes that compute may have no network.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    from layerwise.models.opening import open_model
    from layerwise.states.going_on import go_on
    from layerwise.states.running import run_job

    torch.set_num_threads(threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    options = job.options
    with work_folder(options.work, job.fingerprint(device)) as work:
        if job.holds(options.out) or job.kept.take(job.holds):
            # Another job held the lock until now, and has finished what this one was to do.
            log.info("%s has been finished in the meantime", options.out)
            work.remove()
            return
        # Or it went on with this one.
        if not is_whole(job, work):
            model = open_model(job.description, device, device_map=options.device_map)
            loaded = time.monotonic()
            log.info("loaded the model")
            run_job(model, job, work, device, options.out)
            # Before its own states are written: Snakemake deletes those of a job that is killed, and no shards.
            go_on(model, device, options, planned, began, loaded)
        finish(job, work)


def finish(job: Job, work: WorkFolder) -> None:
    """Write the states from their shards."""
    assemble(job, work)
    job.kept.keep()
    work.remove()


if __name__ == "__main__":
    run(main)
