"""Join what shortcuts reach in all models and tasks into one table."""

import argparse
from pathlib import Path

import pandas as pd

from layerwise.jobs.command import finished_file, run
from layerwise.probes.shortcut_names import SCORE_COLUMNS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the cells: MODEL/TASK/shortcuts.parquet")
    parser.add_argument("--cells", nargs="+", required=True, help="cells to gather, as MODEL/TASK")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    tables = []
    for cell in args.cells:
        model, task = cell.split("/")
        tables.append(pd.read_parquet(args.root / cell / "shortcuts.parquet").assign(model=model, task=task))
    with finished_file(args.out) as file:
        pd.concat(tables, ignore_index=True)[["model", "task", *SCORE_COLUMNS]].to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
