"""Measure what the layers of finished hidden states are like, and keep what their likeness is computed from."""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from layerwise.jobs.command import finished_file, run
from layerwise.likeness.grams import SCALINGS, Grams, products_of, write_grams
from layerwise.likeness.measures import measure_layer
from layerwise.likeness.sampling import sample_items
from layerwise.likeness.table import COLUMNS
from layerwise.states.cells import planned_content
from layerwise.states.chosen_rows import read_rows
from layerwise.states.shards import States, open_states
from layerwise.stimuli.items import read_items

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, required=True, nargs="+", help="states file, or all its shards")
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be made from, as JSON")
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--items", type=int, required=True, help="how many items, no two of one picture")
    parser.add_argument("--seed", type=int, required=True, help="of the draw of items")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--measures", type=Path, required=True, help="Parquet file to write")
    parser.add_argument("--grams", type=Path, required=True, help="safetensors file to write")
    args = parser.parse_args()

    content = planned_content(args.cell, args.stimuli, args.model)
    items, _ = read_items(args.stimuli)
    with open_states(args.states, content) as states, threadpool_limits(args.threads):
        # Pictures that are not shown, or are the same grey for all, make no two items alike.
        pictures = None if args.cell["prompt_entry"].get("image") in ("none", "blank") else items
        places = sample_items(pictures, states.item_ids, states.row_of_item, args.items, args.seed)
        log.info("%d items, no two of which share an input or a picture that is shown", len(places))
        made_from = {key: states.cell[key] for key in ("model_digest", "stimuli_digest", "prompt_entry")}
        grams = Grams([states.item_ids[place] for place in places], states.layers, made_from)
        measures = pd.concat([_measure(states, position, places, grams) for position in states.positions])
    with finished_file(args.measures) as file:
        measures[COLUMNS].to_parquet(file, index=False)
    with finished_file(args.grams) as file:
        write_grams(file, grams)


def _measure(states: States, position: str, places: np.ndarray, grams: Grams) -> pd.DataFrame:
    """The measures of all layers at a position; adds the products of the items to ``grams``."""
    names = states.layers_at(position)
    rows, products = [], []
    for layer, name in enumerate(names):
        chosen = read_rows(states, position, layer, states.row_of_item[places])
        products.append(products_of(chosen))
        at = {"layer": layer, "layer_name": name, "width": chosen.shape[1]}
        rows += [at | measured._asdict() for measured in measure_layer(chosen)]
    for scaling in SCALINGS:
        grams.products[position, scaling] = np.stack([of_layer[scaling] for of_layer in products])
    # Beside the blocks there are the embeddings and the final norm.
    return pd.DataFrame(rows).assign(position=position, n_layers=len(names) - 2, n_items=len(places))


if __name__ == "__main__":
    run(main)
