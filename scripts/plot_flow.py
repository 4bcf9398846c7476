"""Draw information flow in one model: blocked attention by window, or the answer's probability by layer."""

import argparse
from pathlib import Path

from layerwise.figures.flow import FIGURES, draw_flow
from layerwise.figures.style import check_formats, figure_style, save_figure
from layerwise.flow.results import read_changes, read_flow_description, read_tracing
from layerwise.jobs.command import finished_file, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--figure", required=True, choices=FIGURES)
    parser.add_argument("--changes", required=True, type=Path, help="blocked runs (Parquet)")
    parser.add_argument("--tracing", required=True, type=Path, help="what each layer says (Parquet)")
    parser.add_argument("--description", required=True, type=Path, help="description of the cell (JSON)")
    parser.add_argument("--resamples", required=True, type=int, help="of images")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--out", required=True, type=Path, nargs="+", help="files to write: .png, .svg, .pdf")
    args = parser.parse_args()

    check_formats(args.out)
    changes, tracing = read_changes(args.changes), read_tracing(args.tracing)
    description = read_flow_description(args.description)
    with figure_style():
        figure = draw_flow(args.figure, changes, tracing, description, args.resamples, args.seed)
    for path in args.out:
        with finished_file(path) as partial:
            save_figure(figure, partial)


if __name__ == "__main__":
    run(main)
