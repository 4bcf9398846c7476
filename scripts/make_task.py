"""Make a task: labels and splits over a stimulus set."""

import argparse
import json
from pathlib import Path

import pandas as pd

from layerwise.command import finished_file, run
from layerwise.errors import InputError
from layerwise.stimuli.items import read_description
from layerwise.stimuli.tasks import build_task


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the task")
    args = parser.parse_args()

    stimuli = read_description(args.stimuli)
    provenance = pd.read_parquet(args.stimuli / "provenance.parquet")
    objects = pd.read_parquet(args.stimuli / "objects.parquet") if "knowledge" in args.entry else None
    try:
        labels, description = build_task(
            provenance, stimuli["kind"], args.entry, args.seed, stimuli["categories"], objects
        )
    except InputError as error:
        raise InputError(f"tasks.{args.name}: {error}") from error
    with finished_file(args.out / "labels.parquet") as file:
        labels.to_parquet(file, index=False)
    description = {
        "task": args.name,
        "stimuli": args.entry["stimuli"],
        "question": args.entry["question"],
        "metric": args.entry["metric"],
        **description,
        "split": {"seed": args.seed, **args.entry["split"]},
        "sources": stimuli["sources"],
    }
    with finished_file(args.out / "task.json") as file:
        file.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
