"""Join the scores of further kinds of probes, of all cells, into one table."""

import argparse
from pathlib import Path

import pandas as pd

from layerwise.jobs.command import finished_file, run

COLUMNS = ["model", "task", "prompt", "kind", "probe", "layer", "layer_name", "n_layers", "label", "split", "metric"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--root", type=Path, required=True, help="folder of the cells: MODEL/TASK/PROMPT.kind-KIND.parquet"
    )
    parser.add_argument("--cells", nargs="+", required=True, help="cells to gather, as MODEL/TASK/PROMPT/KIND")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    tables = []
    for cell in args.cells:
        model, task, prompt, kind = cell.split("/")
        table = pd.read_parquet(args.root / model / task / f"{prompt}.kind-{kind}.parquet")
        tables.append(table.assign(model=model, task=task, prompt=prompt, kind=kind))
    gathered = pd.concat(tables, ignore_index=True)
    with finished_file(args.out) as file:
        gathered[COLUMNS + [column for column in gathered if column not in COLUMNS]].to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
