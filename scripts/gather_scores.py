"""Put the scores of all cells into one table."""

import argparse
from pathlib import Path

import pandas as pd

from layerwise.command import finished_file, run

COLUMNS = ["model", "task", "prompt", "probe", "layer", "layer_name", "n_layers", "label", "split", "metric"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of the cells: MODEL/TASK/PROMPT.scores.parquet"
    )
    parser.add_argument("--cells", nargs="+", required=True, help="cells to gather, as MODEL/TASK/PROMPT")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    tables = []
    for cell in args.cells:
        model, task, prompt = cell.split("/")
        table = pd.read_parquet(args.root / f"{cell}.scores.parquet")
        tables.append(table.assign(model=model, task=task, prompt=prompt))
    scores = pd.concat(tables, ignore_index=True)
    with finished_file(args.out) as file:
        scores[COLUMNS + [column for column in scores if column not in COLUMNS]].to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
