"""Run one model over one stimulus set with one prompt, and save its hidden states at one further position."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.jobs.options import Options
from layerwise.states.further.program import make_position


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the states beside these, as JSON")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument(
        "--sharing",
        choices=["auto", "always", "never"],
        default="auto",
        help="whether texts share an image's prefix",
    )
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument(
        "--shard", type=int, nargs=2, default=[1, 1], metavar=("I", "N"), help="run the I-th of N shards"
    )
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take if no scheduler assigned any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished states by content")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    options = {key: value for key, value in vars(args).items() if key not in ("cards", "threads")}
    make_position(Options(**options | {"shard": tuple(args.shard)}), args.cards, args.threads)


if __name__ == "__main__":
    run(main)
