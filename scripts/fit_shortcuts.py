"""Fit a task's probes to simple features of texts and pictures, and score them on held-out items."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from layerwise.jobs.command import finished_file, run
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine
from layerwise.probes.problems import make_problems
from layerwise.probes.shortcuts import ShortcutFeatures, fit_shortcuts
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.stimuli.items import read_items
from layerwise.tasks.labels import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    add_engine_option(parser)
    parser.add_argument("--columns", nargs="+", required=True, help="of the items, whose words are read")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    items, _ = read_items(args.stimuli)
    items = items[items["item_id"].isin(labels["item_id"])]
    texts = [" ".join(row) for row in items[args.columns].itertuples(index=False)]
    with open_states(args.states, planned_content(args.cell, args.stimuli, args.model)) as kept:
        pictures = None
        if kept.positions:
            row_of = dict(zip(kept.item_ids, kept.row_of_item, strict=True))
            pictures = kept.layer(kept.positions[0], 0)[[row_of[item] for item in items["item_id"]]]
    problems = make_problems(
        *(labels, task["labels"], len(task["classes"]), list(items["item_id"]), np.arange(len(items))),
        texts=pd.factorize(pd.Series(texts))[0].astype(np.int32),
    )
    training = np.unique(np.concatenate([problem.rows["train"] for problem in problems]))
    engine, C = start_engine(args, args.memory_mb * 2**20 // 4)
    with threadpool_limits(args.threads):
        features = ShortcutFeatures(texts, pictures, training, args.seed)
        how = engine, C, task["metric"], args.resamples, args.seed
        scores, predictions = fit_shortcuts(problems, features, *how)
    for path, table in ((args.predictions, predictions), (args.scores, scores)):
        with finished_file(path) as file:
            table.to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
