"""Sample test items for the page one plays with: pictures, prompts, margins in every layer, and what models say."""

import argparse
import json
from pathlib import Path

from layerwise.compare.inputs import Given
from layerwise.compare.statistics.answered import named_cells
from layerwise.explore.items.files import write_sample
from layerwise.explore.items.sampling import Plan, sample
from layerwise.jobs.command import run


def main() -> None:
    """Read what probes and models say, write the sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", nargs="+", required=True, help="NAME=PATH of each file that it is made from")
    for name, of in (("cells", "probe cells"), ("says", "those with answers"), ("writes", "those with written ones")):
        parser.add_argument(f"--{name}", nargs="*", default=[], help=f"{of}, as MODELS/TASK/PROMPTS")
    parser.add_argument("--shown-as", type=json.loads, default={}, help="other names of models on the page, as JSON")
    parser.add_argument("--prompts", type=json.loads, required=True, help="entries by stimulus set and name, as JSON")
    parser.add_argument(
        "--items", type=int, required=True, help="of each task that are drawn, and so many of the worst"
    )
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--pictures", choices=("copied", "linked", "none"), required=True)
    parser.add_argument("--linked", nargs="*", default=[], help="stimulus sets whose pictures are never copied")
    parser.add_argument("--side", type=int, required=True, help="longer side of a copied picture in pixels")
    parser.add_argument("--megabytes", type=float, required=True, help="of the whole page")
    parser.add_argument("--out", type=Path, required=True, help="folder of the page, for the sample's files")
    options = vars(parser.parse_args())

    given, folder = Given.of(options.pop("inputs")), options.pop("out")
    cells = {name: named_cells(options.pop(name)) for name in ("cells", "says", "writes")}
    write_sample(folder, sample(Plan(**cells, **options, folder=folder), given))


if __name__ == "__main__":
    run(main)
