"""Join the tables of all cells: their scores into one, and their learning curves into another."""

import argparse
from pathlib import Path

import pandas as pd

from layerwise.jobs.command import finished_file, run

COLUMNS = [
    "model",
    "task",
    "prompt",
    "site",
    "head",
    "probe",
    "layer",
    "layer_name",
    "n_layers",
    "label",
    "split",
    "metric",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the cells: MODEL/TASK/PROMPT.KIND.parquet")
    parser.add_argument("--cells", nargs="+", required=True, help="cells to gather, as MODEL/TASK/PROMPT")
    parser.add_argument("--tables", nargs="+", required=True, help="tables to write, as KIND=FILE")
    args = parser.parse_args()

    for kind, out in (table.split("=", 1) for table in args.tables):
        tables = []
        for cell in args.cells:
            model, task, prompt = cell.split("/")
            table = pd.read_parquet(args.root / f"{cell}.{kind}.parquet")
            tables.append(table.assign(model=model, task=task, prompt=prompt))
        gathered = pd.concat(tables, ignore_index=True)
        first = [column for column in COLUMNS if column in gathered]
        with finished_file(out) as file:
            gathered[first + [column for column in gathered if column not in first]].to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
