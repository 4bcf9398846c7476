"""Clone the code of a model's authors at a pinned commit."""

import argparse
from pathlib import Path

from layerwise.jobs.command import finished_file, run
from layerwise.models.authors.clone import clone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", required=True, help="address or folder that git can clone")
    parser.add_argument("--commit", required=True, help="all forty digits")
    parser.add_argument("--files", nargs="*", default=[], help="paths within it; all if none is given")
    parser.add_argument("--folder", type=Path, required=True, help="where to put the files")
    parser.add_argument("--out", type=Path, required=True, help="file to write when they are there")
    args = parser.parse_args()

    clone(args.repository, args.commit, args.files, args.folder)
    with finished_file(args.out) as file:
        file.write_text(f"{args.repository}\n{args.commit}\n")


if __name__ == "__main__":
    run(main)
