"""Read how probable a model's answers are in every layer off finished hidden states. No model is run."""

import argparse
import json
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.answers.head_file import asked_in, read_head
from layerwise.answers.lens import read_layers
from layerwise.answers.table import Answers, write_answers
from layerwise.jobs.command import finished_file, run
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--states", type=Path, required=True, nargs="+", help="states file, or all its shards")
    parser.add_argument("--cell", type=json.loads, required=True, help="what the states must be made from, as JSON")
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--head", type=Path, required=True, help="head.safetensors of the model")
    parser.add_argument("--prompt", type=json.loads, required=True, help="the prompt's entry, as JSON")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args()

    head = read_head(args.head)
    content = planned_content(args.cell, args.stimuli, args.model)
    asked = asked_in(head, args.head, args.cell["stimuli"], args.cell["prompt"], args.prompt, content["model_digest"])
    with open_states(args.states, content) as states, threadpool_limits(args.threads):
        layers = list(tqdm(read_layers(states, head, asked), total=len(states.layers), unit="layer", mininterval=5))
        made_from = {key: states.cell[key] for key in ("model_digest", "stimuli_digest", "prompt_entry")}
    answers = Answers(list(asked.tokens), asked.tokens, made_from, pd.concat(layers, ignore_index=True))
    with finished_file(args.out) as file:
        write_answers(file, answers)


if __name__ == "__main__":
    run(main)
