"""Make a virtual environment with pinned packages."""

import argparse
from pathlib import Path

from layerwise.jobs.command import finished_file, run
from layerwise.jobs.environment import make_environment


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requirements", type=Path, required=True, help="exact versions")
    parser.add_argument("--python", required=True, help="version of Python that they need, such as 3.11")
    parser.add_argument("--folder", type=Path, required=True, help="where to put the environment")
    parser.add_argument("--out", type=Path, required=True, help="file to write when it is ready")
    args = parser.parse_args()

    make_environment(args.folder, args.requirements, args.python)
    with finished_file(args.out) as file:
        file.write_text(args.requirements.read_text())


if __name__ == "__main__":
    run(main)
