"""Build SNLI-VE from SNLI 1.0 and lists of Flickr30k images."""

import argparse
import logging
from pathlib import Path

from layerwise.datasets.snli import build_snli_ve
from layerwise.jobs.command import run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snli", type=Path, required=True, help="folder with snli_1.0_{train,dev,test}.jsonl")
    parser.add_argument("--lists", type=Path, nargs="+", required=True, help="lists of Flickr30k ids, train first")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    args = parser.parse_args()
    for name, number in build_snli_ve(args.snli, args.lists, args.out).items():
        logging.info("%s: %d pairs", name, number)


if __name__ == "__main__":
    run(main)
