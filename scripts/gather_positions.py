"""Join the scores at further positions of all cells into one table."""

import argparse
from pathlib import Path

import pandas as pd

from layerwise.jobs.command import finished_file, run

FIRST = ["model", "task", "prompt", "position"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of MODEL/TASK/PROMPT.at-POSITION.parquet")
    parser.add_argument("--cells", nargs="+", required=True, help="cells to gather, as MODEL/TASK/PROMPT/POSITION")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    tables = []
    for model, task, prompt, position in (cell.split("/") for cell in args.cells):
        table = pd.read_parquet(args.root / model / task / f"{prompt}.at-{position}.parquet")
        tables.append(table.assign(model=model, task=task, prompt=prompt))
    gathered = pd.concat(tables, ignore_index=True)
    with finished_file(args.out) as file:
        gathered[[*FIRST, *gathered.columns.drop(FIRST)]].to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
