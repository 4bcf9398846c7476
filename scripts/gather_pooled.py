"""Join the scores of probes of image tokens, of all models and tasks, into one table."""

import argparse
from pathlib import Path

import pandas as pd

from layerwise.jobs.command import finished_file, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of the cells: MODEL/TASK/pooled.parquet")
    parser.add_argument("--cells", nargs="+", required=True, help="cells to gather, as MODEL/TASK")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    tables = []
    for cell in args.cells:
        model, task = cell.split("/")
        tables.append(pd.read_parquet(args.root / cell / "pooled.parquet").assign(model=model, task=task))
    gathered = pd.concat(tables, ignore_index=True)
    first = [
        "model",
        "task",
        "pooling",
        "depth",
        "layer",
        "layer_name",
        "n_layers",
        "probe",
        "label",
        "split",
        "metric",
    ]
    with finished_file(args.out) as file:
        gathered[first + [column for column in gathered if column not in first]].to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
