"""The cost model's prediction for the demo, compared with what the demo took.

Reads a finished `make demo`. Two numbers are fitted to its extraction jobs: the seconds to start a job, and the tokens
per second after that. If tokens are counted correctly, these two numbers predict all cells.

    python benchmarks/cost.py
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from layerwise.config import validate
from layerwise.cost.estimate import estimate_states
from layerwise.states.store import StatesFile

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="the default; there is only one size")
    size.add_argument("--full", action="store_true")
    parser.add_argument("--demo", type=Path, default=ROOT, help="folder in which the demo was run")
    args = parser.parse_args()
    config = yaml.safe_load((ROOT / "config/prompts.yaml").read_text())
    config |= yaml.safe_load((ROOT / "config/config.yaml").read_text())
    validate(config, ROOT / "config/schemas/config.schema.yaml")
    if not (args.demo / "results/states").is_dir():
        print("Not measured: `make demo` has not been run in this folder.")
        return

    cells = estimate_states(config, args.demo / "results", "cpu")
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
        f"\nThe numbers of inputs are exact in all {len(cells)} cells. A start of {start:.1f} s per job and "
        f"{1 / per_token:,.0f} tokens a second predict the measured seconds within {100 * error.max():.0f} % (median "
        f"{100 * error.median():.0f} %)."
    )


if __name__ == "__main__":
    main()
