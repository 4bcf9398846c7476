"""Make the page one plays with: one file with all charts, pictures and tables of a study."""

import argparse
import json
from pathlib import Path

from layerwise.compare.inputs import Given
from layerwise.explore.catalogue import PARTS, VIEWS
from layerwise.explore.document import page
from layerwise.jobs.command import finished_file, run
from layerwise.planning.leaving_out import said_of


def main() -> None:
    """Read what the page shows, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--parts", nargs="+", required=True, choices=list(PARTS), help="of the page, from top to bottom"
    )
    parser.add_argument("--views", nargs="*", default=[], choices=list(VIEWS), help="charts, from top to bottom")
    parser.add_argument("--inputs", nargs="*", default=[], help="NAME=PATH of each file that the page is made from")
    parser.add_argument("--title", required=True, help="of the page")
    parser.add_argument("--facts", type=json.loads, default={}, help="JSON object: what the page says of the study")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the page is made without")
    parser.add_argument("--assets", required=True, type=Path, help="folder of templates, styles and scripts")
    parser.add_argument("--out", required=True, type=Path, help="page to write (HTML)")
    args = parser.parse_args()

    given = Given.of(args.inputs)
    contents = {name: PARTS[name].make(given, args.views) for name in args.parts}
    titles = {name: PARTS[name].title for name in args.parts}
    text = page(args.assets, args.title, contents, titles, args.facts, said_of(args.left_out), args.out)
    with finished_file(args.out) as partial:
        partial.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
