"""Draw one figure of the catalogue."""

import argparse
from pathlib import Path

from layerwise.compare.inputs import Given
from layerwise.figures.catalogue import FIGURES
from layerwise.figures.drawing.style import check_formats, figure_style, save_figure
from layerwise.jobs.command import finished_file, run
from layerwise.planning.leaving_out import said_of


def main() -> None:
    """Read what the figure shows, draw it, write one file per output name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, choices=list(FIGURES), help="which figure")
    parser.add_argument("--variant", default="", help="which variant, as layer or depth; empty for its only one")
    parser.add_argument("--inputs", required=True, nargs="+", help="NAME=PATH of each file that it is drawn from")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the figure is made without")
    parser.add_argument("--out", required=True, type=Path, nargs="+", help="files to write: .png, .svg, .pdf")
    args = parser.parse_args()

    check_formats(args.out)
    with figure_style():
        figure = FIGURES[args.figure].draw(Given.of(args.inputs), args.variant)
    for path in args.out:
        with finished_file(path) as partial:
            save_figure(figure, partial, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
