"""Compute one table of comparisons: tests, intervals, or the scores that figures and tables show."""

import argparse
import json
from pathlib import Path

from layerwise.compare.catalogue import COMPARISONS
from layerwise.compare.inputs import Given
from layerwise.jobs.command import finished_file, run


def main() -> None:
    """Read the inputs, compute the table, write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comparison", required=True, choices=list(COMPARISONS), help="which table")
    parser.add_argument("--inputs", required=True, nargs="+", help="NAME=PATH of each file that it is made from")
    parser.add_argument("--options", type=json.loads, default={}, help="JSON object: resamples, permutations, seed")
    parser.add_argument("--out", required=True, type=Path, help="table to write (Parquet)")
    args = parser.parse_args()

    comparison = COMPARISONS[args.comparison]
    table = comparison.compute(Given.of(args.inputs), args.options)
    with finished_file(args.out) as partial:
        table[list(comparison.columns)].to_parquet(partial, index=False)


if __name__ == "__main__":
    run(main)
