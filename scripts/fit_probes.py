"""Fit a probe per layer and label on one states file, and score it on held-out items."""

import argparse
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.probes.layer_buffer import layer_buffer
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine
from layerwise.probes.problems import make_problems
from layerwise.probes.scoring import predictions_file
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.tasks.labels import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    add_engine_option(parser)
    parser.add_argument("--position", required=True)
    parser.add_argument("--random-labels", type=int, default=0, help="control tasks per label")
    parser.add_argument("--description-length", action="store_true", help="fit portions of the training images too")
    parser.add_argument("--work", type=Path, required=True, help="folder for what does not fit into memory")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--curve", type=Path, required=True, help="test score by number of training images")
    args = parser.parse_args()

    labels, task = read_task(args.task)
    # A quarter for a layer, one for the training rows taken from it, one for validation rows and the solver.
    budget = args.memory_mb * 2**20 // 4
    engine, C = start_engine(args, budget)
    with (
        open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as states,
        threadpool_limits(args.threads),
        layer_buffer(states.shape(args.position), budget, args.work) as buffer,
        finished_file(args.predictions) as predictions_partial,
        predictions_file(predictions_partial) as keep,
    ):
        made_of = task["labels"], len(task["classes"]), states.item_ids, states.row_of_item
        texts = texts_read(args.stimuli, states.cell, states.item_ids)
        problems = make_problems(labels, *made_of, texts=texts)
        seeds = [column.removeprefix("split:") for column in labels if column.startswith("split:")]
        probes = LayerProbes(
            *(problems, engine, C, task["metric"], args.resamples, args.seed),
            repeats=args.random_labels,
            description_length=args.description_length,
            resplits={seed: make_problems(labels, *made_of, split=f"split:{seed}") for seed in seeds},
        )
        scores, curve = [probes.majority().assign(layer=-1, layer_name="majority")], []
        for layer, name in enumerate(tqdm(states.layers, unit="layer", mininterval=5)):
            found = probes.layer(states.layer(args.position, layer, out=buffer), name)
            keep(found.predictions.assign(layer=layer))
            scores.append(found.scores.assign(layer=layer, layer_name=name))
            curve.append(found.curve.assign(layer=layer, layer_name=name))
        n_layers = len(states.layers) - 2
    for path, tables in ((args.scores, scores), (args.curve, curve)):
        with finished_file(path) as file:
            pd.concat(tables, ignore_index=True).assign(n_layers=n_layers).to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
