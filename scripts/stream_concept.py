"""Fit what erases the concept of a task from all tokens of the text, or of the image, behind one block of a model."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.jobs.options import Options
from layerwise.used.concepts.streamed import stream_concept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json of the model as it is")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--task", type=Path, required=True, help="folder of the task")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the states beside these, as JSON")
    parser.add_argument("--at", choices=["text", "image"], required=True, help="which tokens")
    parser.add_argument("--block", type=int, required=True, help="whose output is read, from 1")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--sharing", choices=["auto", "always", "never"], default="auto")
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take if no scheduler assigned any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    of_cell = ("model", "stimuli", "cell", "batch_size", "sharing", "device_map", "work", "out")
    options = Options(**{key: getattr(args, key) for key in of_cell}, shard=(1, 1), kept=None)
    stream_concept(options, args.task, args.at, args.block, args.cards, args.threads)


if __name__ == "__main__":
    run(main)
