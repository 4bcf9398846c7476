"""Fit a further kind of probe, per layer and label or to all layers at once, and score it on held-out items."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.probes.kind_scores import ALL_LAYERS, layer_weight_rows, read_layers
from layerwise.probes.kinds.catalogue import PROBE_KINDS
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.options import add_probe_options, start_kind
from layerwise.probes.problems import make_problems
from layerwise.probes.texts import texts_read
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.tasks.labels import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    parser.add_argument("--kind", choices=PROBE_KINDS, required=True, help="kind of probe")
    parser.add_argument("--position", required=True)
    parser.add_argument("--random-labels", type=int, default=0, help="control tasks per label")
    parser.add_argument("--description-length", action="store_true", help="fit portions of the training images too")
    parser.add_argument("--work", type=Path, required=True, help="folder for what does not fit into memory")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    kind = PROBE_KINDS[args.kind]
    labels, task = read_task(args.task)
    # A share each for a layer, a mixture of layers, training rows, validation rows, and what the solver holds.
    budget = args.memory_mb * 2**20 // 5
    engine, C = start_kind(kind, args, budget)
    tables = []
    with (
        open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as states,
        threadpool_limits(args.threads),
    ):
        texts = texts_read(args.stimuli, states.cell, states.item_ids)
        made_of = task["labels"], len(task["classes"]), states.item_ids, states.row_of_item
        probes = LayerProbes(
            *(make_problems(labels, *made_of, texts=texts), engine, C, task["metric"], args.resamples, args.seed),
            repeats=args.random_labels,
            description_length=args.description_length,
            own="task",
            metrics=list(dict.fromkeys(("accuracy", task["metric"]))),
        )
        read = read_layers(kind, states, args.position, probes.training_rows, budget, args.work)
        for layer, name, of_layer in tqdm(read, unit="layer", mininterval=5):
            found = probes.layer(of_layer, name)
            tables.append(found.scores.assign(layer=layer, layer_name=name))
            if layer == ALL_LAYERS:
                tables.append(layer_weight_rows(found.fits, states.layers, tables[-1]))
        n_layers = len(states.layers) - 2
    scores = pd.concat(tables, ignore_index=True).assign(kind=kind.name, n_layers=n_layers)
    with finished_file(args.out) as file:
        (scores if kind.has_penalty else scores.assign(C=np.nan)).to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
