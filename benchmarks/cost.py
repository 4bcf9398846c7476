"""What the cost model says of the demo, against what the demo took.

Reads a finished `make demo`. Two figures are fitted to its extraction jobs, the seconds that a job takes to start and
the rate at which it then goes; if tokens are counted right, they explain all cells.

    python benchmarks/cost.py
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from layerwise.cost.estimate import estimate_states
from layerwise.states.store import StatesFile
from layerwise.study import Study

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default; there is only one size")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--demo", type=Path, default=ROOT, help="folder in which the demo was run")
    args = parser.parse_args()
    study = Study.load(ROOT / "config/config.yaml", directory=args.demo)
    if not (args.demo / "results/states").is_dir():
        print("Not measured: `make demo` has not been run in this folder.")
        return

    cells = estimate_states(study, "cpu")
    names = cells["model"] + "/" + cells["stimuli"] + "/" + cells["prompt"]
    logs = [pd.read_csv(args.demo / f"logs/benchmarks/states/{name}.tsv", sep="\t") for name in names]
    cells["seconds"] = [float(log["s"].iloc[-1]) for log in logs]
    files = [args.demo / f"results/states/{name}.h5" for name in names]
    cells["disk"] = [file.stat().st_size for file in files]
    for file, predicted in zip(files, cells["inputs"], strict=True):
        with StatesFile(file) as states:
            if states.shape("last")[0] != predicted:
                raise SystemExit(
                    f"{file}: {states.shape('last')[0]} rows, but the cost model counted {predicted} inputs"
                )
    terms = np.column_stack([np.ones(len(cells)), cells["tokens"]])
    (start, per_token), *_ = np.linalg.lstsq(terms, cells["seconds"], rcond=None)
    cells["predicted"] = terms @ [start, per_token]

    print("| cell | inputs | tokens | s measured | s predicted | MB of states | MB on disk |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, cell in zip(names, cells.itertuples(), strict=True):
        print(
            f"| {name} | {cell.inputs:,} | {cell.tokens:,} | {cell.seconds:.1f} | {cell.predicted:.1f} "
            f"| {cell.bytes / 1e6:.1f} | {cell.disk / 1e6:.1f} |"
        )
    error = (cells["predicted"] / cells["seconds"] - 1).abs()
    print(
        f"\nInputs are exact in all {len(cells)} cells. {start:.1f} s to start a job and {1 / per_token:,.0f} tokens a "
        f"second explain the seconds within {100 * error.max():.0f} % (median {100 * error.median():.0f} %)."
    )


if __name__ == "__main__":
    main()
