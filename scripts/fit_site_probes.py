"""Fit probes to the outputs of each block's attention and MLP, and of each head, on one states file."""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file, run
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.problems import make_problems
from layerwise.probes.site_probes import SiteProbes
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.shards import States, open_states
from layerwise.tasks.labels import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, required=True, nargs="+", help="states file, or all its shards")
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be made from, as JSON")
    parser.add_argument("--model", type=Path, help="model.json; default: states of any model")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--engine", choices=PROBE_KINDS, required=True)
    parser.add_argument("--C", type=float, nargs="+", required=True)
    parser.add_argument("--resamples", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True, help="memory of the job")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    tables = []
    kind = PROBE_KINDS[args.engine]
    if kind.uses_card:
        # Use a GPU only if one is free: fits on the CPU are fast.
        take_cards(1, wait=False)
    with (
        open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as states,
        threadpool_limits(args.threads),
    ):
        made_of = task["labels"], len(task["classes"]), states.item_ids, states.row_of_item
        problems = make_problems(labels, *made_of, texts=texts_read(args.stimuli, states.cell, states.item_ids))
        engine = kind.engine(args.threads, args.memory_mb * 2**20 // 4)
        probes = SiteProbes(problems, engine, kind.tried(args.C), task["metric"], args.resamples, args.seed)
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
