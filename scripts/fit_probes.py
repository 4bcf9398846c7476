"""Fit a probe per layer and label on one states file, and score it on held-out items."""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.command import finished_file, run
from layerwise.probes.engine import choose, margins
from layerwise.probes.engines import ENGINES
from layerwise.probes.metrics import predicted
from layerwise.probes.problems import make_problems, standardise
from layerwise.probes.room import room_for_layer
from layerwise.probes.scoring import SPLITS, Guess, Scorer, majority_guess, predictions, predictions_file
from layerwise.states.store import StatesFile
from layerwise.stimuli.tasks import read_task

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, required=True)
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be of, as JSON")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--position", required=True)
    parser.add_argument("--engine", choices=ENGINES, required=True)
    parser.add_argument("--C", type=float, nargs="+", required=True)
    parser.add_argument("--resamples", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True, help="memory of the job; what is larger waits on disk")
    parser.add_argument("--work", type=Path, required=True, help="folder for what does not fit into memory")
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    args = parser.parse_args()

    labels, task = read_task(args.task)
    # A quarter for a layer, one for the training rows taken from it, one for validation rows and the solver.
    budget = args.memory_mb * 2**20 // 4
    engine, strengths = ENGINES[args.engine](args.threads, budget), sorted(args.C)
    with (
        StatesFile(args.states, args.cell) as states,
        threadpool_limits(args.threads),
        room_for_layer(states.shape(args.position), budget, args.work) as room,
        finished_file(args.predictions) as predictions_partial,
        predictions_file(predictions_partial) as keep,
    ):
        problems = make_problems(labels, task["labels"], len(task["classes"]), states.item_ids, states.row_of_item)
        scorer = Scorer(problems, args.resamples, args.seed)
        training_rows = np.unique(np.concatenate([problem.rows["train"] for problem in problems]))
        tables = [_table(scorer.rows(list(map(majority_guess, problems))), "majority", -1, "majority")]
        for layer, name in enumerate(tqdm(states.layers, unit="layer", mininterval=5)):
            layer_states = standardise(states.layer(args.position, layer, out=room), training_rows)
            guesses, kept = [], []
            for problem, fits in zip(problems, engine.fit(layer_states, problems, strengths), strict=True):
                fit = choose(fits, layer_states, problem.rows["val"], problem.y["val"])
                if not fit.converged:
                    log.warning("layer %s, label %s, C = %g: the solver did not converge", name, problem.label, fit.C)
                scores = {split: margins([fit], layer_states, problem.rows[split])[0] for split in SPLITS}
                guess = Guess(scores, fit.C, len(strengths) > 1 and fit.C in (strengths[0], strengths[-1]))
                guesses.append(guess)
                classes = {split: predicted(margins) for split, margins in scores.items()}
                kept.append(predictions(problem, guess, classes).assign(layer=layer))
            keep(pd.concat(kept, ignore_index=True))
            tables.append(_table(scorer.rows(guesses), "logistic", layer, name))
        n_layers = len(states.layers) - 2
    with finished_file(args.scores) as file:
        pd.concat(tables, ignore_index=True).assign(n_layers=n_layers).to_parquet(file, index=False)


def _table(rows, probe: str, layer: int, name: str) -> pd.DataFrame:
    return pd.DataFrame(rows).assign(probe=probe, layer=layer, layer_name=name)


if __name__ == "__main__":
    run(main)
