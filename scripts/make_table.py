"""Write one table of the catalogue in four formats."""

import argparse
from pathlib import Path

from layerwise.compare.inputs import Given
from layerwise.figures.catalogue import TABLES
from layerwise.figures.writing.sections import write_table
from layerwise.jobs.command import run
from layerwise.planning.leaving_out import said_of


def main() -> None:
    """Read what the table shows, write it as CSV, LaTeX, Markdown and HTML."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", required=True, choices=list(TABLES), help="which table")
    parser.add_argument("--inputs", required=True, nargs="+", help="NAME=PATH of each file that it is written from")
    parser.add_argument("--position", default="last", help="which states were probed: last or image-mean")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the table is made without")
    parser.add_argument("--out-dir", required=True, type=Path, help="folder for NAME.csv, .tex, .md and .html")
    args = parser.parse_args()

    table = TABLES[args.table]
    sections, numbers = table.write(Given.of(args.inputs), args.position)
    write_table(args.out_dir, args.table, table.title, sections, numbers, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
