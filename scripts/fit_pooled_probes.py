"""Fit a task's probes to kept image tokens, layer by layer: to their mean, and with a query that chooses among them."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.jobs.cards import take_cards
from layerwise.jobs.command import finished_file, run
from layerwise.lens.scores import score_maps
from layerwise.probes.layer_probes import LayerProbes
from layerwise.probes.options import add_engine_option, add_probe_options, start_engine
from layerwise.probes.pooled import ATTENTION, MEAN
from layerwise.probes.pooled.looking import Looks, pairs_to_ask
from layerwise.probes.pooled.sample import labels_of_sample
from layerwise.probes.problems import make_problems
from layerwise.probes.scoring import predictions_file
from layerwise.states.cells import planned_content
from layerwise.tasks.labels import read_task
from layerwise.tasks.picture_labels import check_of_pictures
from layerwise.tokens.store import Tokens, open_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_probe_options(parser)
    add_engine_option(parser)
    parser.add_argument("--scores", type=Path, required=True)
    parser.add_argument("--predictions", type=Path, required=True)
    parser.add_argument("--places", type=Path, required=True, help="scores of where the queries look")
    args = parser.parse_args()

    take_cards(1, wait=False)
    of_means, C = start_engine(args, args.memory_mb * 2**20 // 8)
    # Not at the top: the process must have chosen its GPU before it imports torch.
    from layerwise.probes.pooled.engine import AttentionEngine
    from layerwise.probes.pooled.token_states import TokenStates, means_of

    attention = AttentionEngine(of_means, args.threads, args.memory_mb * 2**20 // 8)
    tables: list[pd.DataFrame] = []
    with (
        threadpool_limits(args.threads),
        open_tokens(args.states[0], planned_content(args.cell, args.stimuli, args.model)) as tokens,
        finished_file(args.predictions) as predictions_partial,
        predictions_file(predictions_partial) as keep,
    ):
        labels, task = read_task(args.task)
        n_classes = len(task["classes"])
        labels, names = labels_of_sample(args.task.name, labels, task["labels"], n_classes, tokens.item_ids)
        check_of_pictures(args.task, labels, dict(zip(tokens.item_ids, tokens.row_of_item, strict=True)))
        problems = make_problems(labels, names, n_classes, tokens.item_ids, tokens.row_of_item)
        metrics = list(dict.fromkeys(("accuracy", task["metric"])))
        how = C, task["metric"], args.resamples, args.seed
        mean, attended = (LayerProbes(problems, engine, *how, metrics=metrics) for engine in (of_means, attention))
        words = names if n_classes == 2 else task["classes"]
        test = np.unique(np.concatenate([problem.rows["test"] for problem in problems]))
        looks = pairs_to_ask(tokens.image_id, tokens.places, tokens.boxes, test, words, args.seed)
        tables.append(mean.majority().assign(pooling="", depth=-1, layer=-1, layer_name="majority"))
        for place, (number, name) in enumerate(zip(tqdm(tokens.layers, unit="layer"), tokens.layer_names, strict=True)):
            layer = tokens.layer(place)
            found = {MEAN: mean.layer(means_of(layer, tokens.counts), name)}
            states = TokenStates(layer, tokens.counts, attended.training_rows)
            found[ATTENTION] = attended.layer(states, name)
            for second, (pooling, result) in enumerate(found.items()):
                # Their place among the predictions.
                at = {"pooling": pooling, "depth": number, "layer": 2 * place + second}
                keep(result.predictions.assign(**at))
                tables.append(result.scores.assign(layer_name=name, **at))
            if not looks.none:
                queries = np.concatenate([fit.queries for fit in found[ATTENTION].fits])
                looks.add(name, words, attention.looked_at(states, queries, looks.pictures))
        places = scored(looks, tokens, args.seed)
    n_layers = {"n_layers": tokens.n_layers}
    for file, table in ((args.scores, pd.concat(tables, ignore_index=True).assign(**n_layers)), (args.places, places)):
        with finished_file(file) as partial:
            table.to_parquet(partial, index=False)


def scored(looks: Looks, tokens: Tokens, seed: int) -> pd.DataFrame:
    """How well queries find the boxes, with the numbers of the layers, of which not all need be kept."""
    places = score_maps(looks, seed)
    numbers = np.array(tokens.layers, np.int16)
    return places.assign(layer=numbers[places["layer"].to_numpy(int)], n_layers=np.int16(tokens.n_layers))


if __name__ == "__main__":
    run(main)
