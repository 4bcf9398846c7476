"""Put a figure and its caption on one page."""

import argparse
import json
from pathlib import Path

from layerwise.figures.page import caption_html, figure_page
from layerwise.jobs.command import finished_file, run


def main() -> None:
    """Fill in the caption, write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", required=True, type=Path, help="the figure (PNG)")
    parser.add_argument("--title", required=True, help="of the page")
    parser.add_argument("--caption", required=True, type=Path, help="template of the caption")
    parser.add_argument("--params", required=True, type=json.loads, help="JSON object: what the caption names")
    parser.add_argument("--out", required=True, type=Path, help="page to write (HTML)")
    args = parser.parse_args()

    page = figure_page(args.picture, args.title, caption_html(args.caption, args.params))
    with finished_file(args.out) as partial:
        partial.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
