"""Fit a task's probes to each layer of a vision tower, to the projector's output, and to the decoder's image tokens."""

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.command import finished_file, run
from layerwise.models.site_names import ALL_PICTURES
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine
from layerwise.probes.problems import make_problems
from layerwise.probes.scoring import predictions_file
from layerwise.states.cells import planned_content
from layerwise.states.shards import States, open_states
from layerwise.states.tower.layers import DECODER, layers_in
from layerwise.tasks.labels import read_task
from layerwise.tasks.picture_labels import check_of_pictures

# What names a layer in the scores, and reads its states.
Layer = tuple[dict[str, Any], Callable[[], np.ndarray]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    add_engine_option(parser)
    parser.add_argument("--decoder", type=Path, nargs="+", help="states file with image-mean, or all its shards")
    parser.add_argument("--decoder-cell", type=json.loads, help="what these must be made from, as JSON")
    parser.add_argument("--random-labels", type=int, default=0, help="control tasks per label")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    engine, C = start_engine(args, args.memory_mb * 2**20 // 4)
    tables: list[pd.DataFrame] = []
    with (
        ExitStack() as opened,
        threadpool_limits(args.threads),
        finished_file(args.predictions) as predictions_partial,
        predictions_file(predictions_partial) as keep,
    ):

        def open_at(files: list[Path], cell: dict[str, Any]) -> States:
            return opened.enter_context(open_states(files, planned_content(cell, args.stimuli, args.model)))

        def probes_of(states: States) -> LayerProbes:
            made_of = task["labels"], len(task["classes"]), states.item_ids, states.row_of_item
            how = engine, C, task["metric"], args.resamples, args.seed
            metrics = list(dict.fromkeys(("accuracy", task["metric"])))
            return LayerProbes(make_problems(labels, *made_of), *how, repeats=args.random_labels, metrics=metrics)

        tower = open_at(args.states, args.cell)
        check_of_pictures(args.task, labels, dict(zip(tower.item_ids, tower.row_of_item, strict=True)))
        probes = probes_of(tower)
        read = [(probes, layer) for layer in tower_layers(tower)]
        tables.append(probes.majority().assign(part="", pooling="", depth=-1, layer=-1, layer_name="majority"))
        if args.decoder:
            decoder = open_at(args.decoder, args.decoder_cell)
            probes = probes_of(decoder)
            read += [(probes, layer) for layer in decoder_layers(decoder)]
        for place, (probes, (named, states)) in enumerate(tqdm(read, unit="layer", mininterval=5)):
            found = probes.layer(states(), named["layer_name"])
            keep(found.predictions.assign(layer=place))
            tables.append(found.scores.assign(**named, layer=place))
    with finished_file(args.scores) as file:
        pd.concat(tables, ignore_index=True).to_parquet(file, index=False)


def tower_layers(states: States) -> Iterator[Layer]:
    """The layers of a tower's file, and the projector."""
    for layer in layers_in(states.positions):
        named = {"part": layer.part, "pooling": layer.pooling, "depth": layer.depth, "layer_name": layer.name}
        yield named, lambda name=layer.dataset: states.layer(name, 0)


def decoder_layers(states: States) -> Iterator[Layer]:
    """The decoder's blocks, in the mean over the image's tokens. Its embeddings there are the projector's output."""
    for depth, name in list(enumerate(states.layers))[1:-1]:
        named = {"part": DECODER, "pooling": ALL_PICTURES, "depth": depth, "layer_name": name}
        yield named, lambda layer=depth: states.layer(ALL_PICTURES, layer)


if __name__ == "__main__":
    run(main)
