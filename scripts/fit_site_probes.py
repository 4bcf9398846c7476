"""Fit probes to the outputs of each block's attention and MLP, and of each head, on one states file."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine
from layerwise.probes.problems import make_problems
from layerwise.probes.site_probes import SiteProbes
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.shards import States, open_states
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
        n_layers = len(states.layers) - 2
        with tqdm(total=n_layers * (len(states.sites) + states.n_heads), unit="probe", mininterval=5) as progress:
            for site, block, head, at_site in read_sites(states):
                scores = probes.scores(at_site, f"block {block}, {site} {head if head else ''}")
                tables.append(scores.assign(site=site, layer=block, head=head))
                progress.update()
    with finished_file(args.out) as file:
        pd.concat(tables, ignore_index=True).assign(n_layers=n_layers).to_parquet(file, index=False)


def read_sites(states: States) -> Iterator[tuple[str, int, int, np.ndarray]]:
    """Site, block and head (from 1; head 0 for a whole block), and states of shape (rows, width)."""
    for site in states.sites:
        for layer in range(len(states.layers) - 2):
            whole = states.layer(f"last-{site}", layer)
            heads = np.split(whole, states.n_heads, axis=1) if site == "heads" else [whole]
            for head, part in enumerate(heads, start=1):
                yield site, layer + 1, head if site == "heads" else 0, np.ascontiguousarray(part)


if __name__ == "__main__":
    run(main)
