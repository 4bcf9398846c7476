"""Gather what a finished study shows over its seeds into one table, and write the document that is made from it.

python scripts/make_findings.py --configfile config/findings.yaml --csv docs/findings.csv --out docs/findings.md
"""

import argparse
from pathlib import Path

from layerwise.command import finished_file, run
from layerwise.findings.document import read_findings, render
from layerwise.findings.gather import gather
from layerwise.study import Study

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configfile", type=Path, help="the study; without it the table is taken as it is")
    parser.add_argument("--csv", type=Path, required=True, help="the table")
    parser.add_argument("--template", type=Path, default=ROOT / "report/findings/findings.md.j2")
    parser.add_argument("--out", type=Path, required=True, help="the document")
    args = parser.parse_args()

    if args.configfile:
        table = gather(Study.load(args.configfile))
        with finished_file(args.csv) as file:
            table.to_csv(file, index=False, lineterminator="\n")
    document = render(args.template, read_findings(args.csv))
    with finished_file(args.out) as file:
        file.write_text(document, encoding="utf-8")


if __name__ == "__main__":
    run(main)
