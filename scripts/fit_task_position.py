"""Fit probes to the states at one further position, layer by layer."""

import argparse
import logging
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine
from layerwise.probes.problems import make_problems
from layerwise.probes.site_probes import SiteProbes
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.further.lacking import labels_with_states
from layerwise.states.shards import open_states
from layerwise.tasks.labels import read_task

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    add_engine_option(parser)
    parser.add_argument("--position", required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    engine, C = start_engine(args, args.memory_mb * 2**20 // 4)
    tables = []
    with (
        open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as states,
        threadpool_limits(args.threads),
    ):
        labels, names, lacking = labels_with_states(states, args.position, labels, task)
        if lacking:
            log.warning("%d of the task's items have no state at %s and are left out", lacking, args.position)
        made_of = names, len(task["classes"]), states.item_ids, states.row_of_item
        problems = make_problems(labels, *made_of, texts=texts_read(args.stimuli, states.cell, states.item_ids))
        probes = SiteProbes(problems, engine, C, task["metric"], args.resamples, args.seed)
        for layer, name in enumerate(tqdm(states.layers, unit="layer", mininterval=5)):
            scores = probes.scores(states.layer(args.position, layer), f"{name}, {args.position}")
            tables.append(scores.assign(layer=layer))
        n_layers = len(states.layers) - 2
    scores = pd.concat(tables, ignore_index=True)
    scores = scores.assign(position=args.position, n_layers=n_layers, lacking=lacking)
    with finished_file(args.out) as file:
        scores.to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
