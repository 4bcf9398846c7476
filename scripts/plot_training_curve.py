"""Draw the training curve of the workflow's own small model: loss and held-out accuracy over time."""

import argparse
from pathlib import Path

from layerwise.figures.style import check_formats, figure_style, save_figure
from layerwise.figures.training import draw_training, read_curve
from layerwise.jobs.command import finished_file, run


def main() -> None:
    """Read the curve, draw it, write one file per output name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curve", required=True, type=Path, help="CSV: seconds, step, phase, lesson, metric, value")
    parser.add_argument("--out", required=True, type=Path, nargs="+", help="files to write: .png, .svg, .pdf")
    args = parser.parse_args()

    check_formats(args.out)
    with figure_style():
        figure = draw_training(read_curve(args.curve))
    for path in args.out:
        with finished_file(path) as partial:
            save_figure(figure, partial)


if __name__ == "__main__":
    run(main)
