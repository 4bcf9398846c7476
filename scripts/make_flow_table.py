"""Write the table of the windows in which blocking attention matters most, and of the questions asked and kept."""

import argparse
from pathlib import Path

from layerwise.figures.flow import FIGURES, strongest_windows
from layerwise.figures.flow_table import flow_sections
from layerwise.figures.tables import write_table
from layerwise.flow.results import read_changes, read_flow_description
from layerwise.jobs.command import run
from layerwise.leaving_out import said_of

TITLE = "Information flow: strongest windows"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--changes", required=True, type=Path, nargs="+", help="blocked runs of each cell (Parquet)")
    parser.add_argument("--descriptions", required=True, type=Path, nargs="+", help="the cells' descriptions (JSON)")
    parser.add_argument("--resamples", required=True, type=int, help="of images")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the table is made without")
    parser.add_argument("--out-dir", required=True, type=Path, help="folder for flow.csv, .tex, .md and .html")
    args = parser.parse_args()

    descriptions = [read_flow_description(path) for path in args.descriptions]
    cells = list(zip(map(read_changes, args.changes), descriptions, strict=True))
    flows = [*FIGURES["knockout"].lines, *FIGURES["objects"].lines]
    strongest = strongest_windows(cells, flows, args.resamples, args.seed)
    numbers = strongest.to_csv(index=False, lineterminator="\n")
    sections = flow_sections(strongest, descriptions)
    write_table(args.out_dir, "flow", TITLE, sections, numbers, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
