"""Convert a model's .bin or .pt weights to safetensors, in a folder with the text files that belong to them."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.models.conversion import convert


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the model's name in the config")
    parser.add_argument("--entry", type=json.loads, required=True, help="its config entry, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    args = parser.parse_args()

    convert(args.name, args.entry, args.out)


if __name__ == "__main__":
    run(main)
