"""Score where a model's output head names objects, against their boxes. No model is run."""

import argparse
from pathlib import Path

from layerwise.jobs.command import finished_file, run
from layerwise.lens.maps import open_maps
from layerwise.lens.scores import score_maps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=Path, required=True, help="maps of one model and stimulus set")
    parser.add_argument("--seed", type=int, required=True, help="of the draws of other pictures")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args()

    with open_maps(args.maps) as maps:
        scores = score_maps(maps, args.seed)
    with finished_file(args.out) as file:
        scores.to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
