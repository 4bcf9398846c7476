"""Find a model's final norm and output head among its files, and the tokens with which it begins its answers."""

import argparse
import json
from pathlib import Path

from layerwise.descriptions import read_description
from layerwise.jobs.command import finished_file, run
from layerwise.states.device import start_torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--prompts", type=json.loads, required=True, help="entries by stimulus set and prompt, as JSON")
    parser.add_argument("--stimuli", type=json.loads, required=True, help="folders of the stimulus sets, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="head.safetensors")
    args = parser.parse_args()

    description = read_description(args.model, "digest")
    start_torch(threads=1)
    from layerwise.answers.finding_head import find_head
    from layerwise.answers.head_file import write_head

    head = find_head(description, args.prompts, {name: Path(folder) for name, folder in args.stimuli.items()})
    with finished_file(args.out) as file:
        write_head(file, head)


if __name__ == "__main__":
    run(main)
