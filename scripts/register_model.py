"""Find a model's files, download them if needed, and describe them in model.json."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import finished_file, run
from layerwise.models.registration import describe_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--made", type=Path, help="folder that the workflow made: its own model, or converted weights")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--upstream", type=json.loads, help="commit and folder of the authors' code, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="model.json")
    args = parser.parse_args()

    description = describe_model(args.name, args.entry, args.made, args.seed, args.upstream)
    with finished_file(args.out) as file:
        file.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
