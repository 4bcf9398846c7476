"""Keep the hidden states of every image token of some pictures, in every layer, for probes that choose among them."""

import argparse
import json
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.tokens.program import keep_tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="model.json")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--cell", type=json.loads, required=True, help="what decides the tokens beside these, as JSON")
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--device-map", type=json.loads, help="how the model is spread over devices, as JSON")
    parser.add_argument("--cards", type=int, default=1, help="how many GPUs to take if no scheduler assigned any")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True, help="folder for work in progress")
    parser.add_argument("--kept", type=Path, help="folder of finished results by content")
    parser.add_argument("--out", type=Path, required=True, help="HDF5 file to write")
    keep_tokens(**vars(parser.parse_args()))


if __name__ == "__main__":
    run(main)
