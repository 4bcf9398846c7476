"""Describe a states file, and read every byte of it back."""

import argparse
from pathlib import Path

from layerwise.jobs.command import run
from layerwise.states.described import described, norms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="states files (.h5)")
    args = parser.parse_args()

    for path in args.files:
        print(*described(path), *norms(path), sep="\n")


if __name__ == "__main__":
    run(main)
