"""Let kept probes of other prompts, tasks and versions of a model read the states of one task, without new fits."""

import argparse
import json
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from layerwise.compare.transfers import COLUMNS, Homes, ProbedTask, TransfersInto
from layerwise.jobs.command import finished_file, run
from layerwise.probes.carrying import Carried
from layerwise.probes.layer_buffer import layer_buffer
from layerwise.states.cells import planned_content
from layerwise.states.shards import open_states
from layerwise.stimuli.items import EACH_SHA256, read_items
from layerwise.tasks.labels import read_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", nargs=2, required=True, metavar=("MODEL", "TASK"), help="whose states are read")
    parser.add_argument("--states", type=json.loads, required=True, help="JSON: by prompt, the states' files")
    parser.add_argument("--planned", type=json.loads, required=True, help="JSON: by prompt, what made them")
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--tasks", type=json.loads, required=True, help="JSON: by task, its folder and its stimuli's")
    parser.add_argument("--carried", type=json.loads, required=True, help="JSON list: which probes read which prompt")
    parser.add_argument("--probes", type=Path, required=True, help="folder of kept probes and predictions")
    parser.add_argument("--position", required=True)
    parser.add_argument("--permutations", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--memory-mb", type=int, required=True, help="memory of the job")
    parser.add_argument("--work", type=Path, required=True, help="folder for what does not fit into memory")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    (model, task), homes, tables = args.cell, Homes(args.probes), []
    tasks = {name: read_probed(*folders) for name, folders in args.tasks.items()}
    stimuli = Path(args.tasks[task][1])
    for prompt, files in tqdm(args.states.items(), unit="prompt", mininterval=5):
        carried = [each for entry in args.carried if entry["prompt"] == prompt for each in Carried.of(entry)]
        with (
            open_states(files, planned_content(args.planned[prompt], stimuli, args.model)) as states,
            threadpool_limits(args.threads),
            layer_buffer(states.shape(args.position), args.memory_mb * 2**20 // 4, args.work) as buffer,
        ):
            row_of_item = pd.Series(states.row_of_item, index=states.item_ids)
            made_from = {"model_digest": states.cell["model_digest"], "position": args.position}
            into = TransfersInto((model, task, prompt), carried, tasks, homes, states.layers, row_of_item, made_from)
            for layer in range(len(states.layers)):
                into.layer(layer, states.layer(args.position, layer, out=buffer))
        tables.append(into.table(args.permutations, args.seed))
    with finished_file(args.out) as file:
        pd.concat(tables, ignore_index=True)[COLUMNS].to_parquet(file, index=False)


def read_probed(task: str, stimuli: str) -> ProbedTask:
    """A task and the pictures of its stimuli, from their folders."""
    labels, description = read_task(task)
    items, _ = read_items(stimuli)
    # One picture that was seen in training is enough to leave an item out.
    pictures = EACH_SHA256 if EACH_SHA256 in items else "image_sha256"
    return ProbedTask(description, labels, items.set_index("item_id")[pictures])


if __name__ == "__main__":
    run(main)
