"""Describe a states file, and read every byte of it back."""

import argparse
import json
from pathlib import Path

import numpy as np

from layerwise.jobs.command import run
from layerwise.states.store import StatesFile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+", help="states files (.h5)")
    args = parser.parse_args()

    for path in args.files:
        with StatesFile(path) as states:
            rows, width = states.layer(states.positions[0], 0).shape
            print(f"{path}: {len(states.layers)} layers x {rows} rows x {width}, {len(states.item_ids)} items")
            print(f"  positions: {', '.join(states.positions)}; {path.stat().st_size / 1e6:.1f} MB on disk")
            print(f"  cell: {json.dumps(states.cell, indent=2)[1:-1].strip()}")
            for position in [*states.positions, *(f"last-{site}" for site in states.sites)]:
                for layer, name in enumerate(states.layers_at(position)):
                    # Reading a chunk compares it with its checksum.
                    values = states.layer(position, layer)
                    norms = np.linalg.norm(values, axis=1)
                    print(f"  {position:>14} {name:>12}: norm {norms.mean():10.3f} (largest {norms.max():10.3f})")
        print("  every chunk matches its checksum")


if __name__ == "__main__":
    run(main)
