"""Make the folder of a model whose image processor has other settings, for an entry with `processor`."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.models.processor_settings import set_processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="the model's name in the config")
    parser.add_argument("--entry", type=json.loads, required=True, help="its config entry, as JSON")
    parser.add_argument("--made", type=Path, help="folder that the workflow made: converted weights")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    args = parser.parse_args()

    set_processor(args.name, args.entry, args.made, args.out)


if __name__ == "__main__":
    run(main)
