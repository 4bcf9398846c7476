"""Fit a ridge regression per layer and label of a task about numbers, and score it on held-out items."""

import argparse
import json
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.probes.layer_buffer import layer_buffer
from layerwise.probes.number_probes import NumberProbes
from layerwise.probes.problems import make_problems
from layerwise.probes.scoring import predictions_file
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.tasks.labels import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, required=True, nargs="+", help="states file, or all its shards")
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be made from, as JSON")
    parser.add_argument("--model", type=Path, help="model.json; default: states of any model")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--position", required=True)
    parser.add_argument("--penalties", type=float, nargs="+", required=True, help="per training item")
    parser.add_argument("--resamples", type=int, required=True, help="of the bootstrap")
    parser.add_argument("--permuted", type=int, default=0, help="control tasks per label")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True, help="memory of the job")
    parser.add_argument("--work", type=Path, required=True, help="folder for what does not fit into memory")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--estimates", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    with (
        open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as states,
        threadpool_limits(args.threads),
        layer_buffer(states.shape(args.position), args.memory_mb * 2**20 // 4, args.work) as buffer,
        finished_file(args.estimates) as estimates_partial,
        predictions_file(estimates_partial) as keep,
    ):
        texts = texts_read(args.stimuli, states.cell, states.item_ids)
        problems = make_problems(labels, task["labels"], 0, states.item_ids, states.row_of_item, texts=texts)
        probes = NumberProbes(problems, args.penalties, args.resamples, args.seed, args.permuted)
        tables = [probes.mean().assign(layer=-1, layer_name="training mean")]
        for layer, name in enumerate(tqdm(states.layers, unit="layer", mininterval=5)):
            scores, estimates = probes.layer(states.layer(args.position, layer, out=buffer))
            keep(estimates.assign(layer=layer))
            tables.append(scores.assign(layer=layer, layer_name=name))
        n_layers = len(states.layers) - 2
    with finished_file(args.scores) as file:
        pd.concat(tables, ignore_index=True).assign(n_layers=n_layers).to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
