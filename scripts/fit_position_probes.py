"""Fit probes to the mean over the tokens of each picture, layer by layer, on one states file."""

import argparse
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.models.site_names import picture_of
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine
from layerwise.probes.problems import make_problems
from layerwise.probes.site_probes import SiteProbes
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.tasks.labels import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    add_engine_option(parser)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    engine, C = start_engine(args, args.memory_mb * 2**20 // 4)
    tables = []
    with (
        open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as states,
        threadpool_limits(args.threads),
    ):
        made_of = task["labels"], len(task["classes"]), states.item_ids, states.row_of_item
        problems = make_problems(labels, *made_of, texts=texts_read(args.stimuli, states.cell, states.item_ids))
        probes = SiteProbes(problems, engine, C, task["metric"], args.resamples, args.seed)
        positions = sorted((position for position in states.positions if picture_of(position)), key=picture_of)
        with tqdm(total=len(positions) * len(states.layers), unit="probe", mininterval=5) as progress:
            for position in positions:
                for layer, name in enumerate(states.layers):
                    scores = probes.scores(states.layer(position, layer), f"{name}, {position}")
                    tables.append(scores.assign(position=position, layer=layer))
                    progress.update()
    with finished_file(args.out) as file:
        of_all = pd.concat(tables, ignore_index=True)
        of_all.assign(n_layers=len(states.layers) - 2).to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
