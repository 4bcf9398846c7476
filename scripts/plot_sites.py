"""Draw what attention, MLPs and single heads hold: scores by site and block, or a map of the heads."""

import argparse
from pathlib import Path

from layerwise.figures.inputs import read_models, read_scores, read_tasks
from layerwise.figures.sites import draw_heads, draw_sites, read_sites
from layerwise.figures.style import check_formats, figure_style, save_figure
from layerwise.jobs.command import finished_file, run
from layerwise.leaving_out import said_of


def main() -> None:
    """Read scores and descriptions, draw, write one file per output name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sites", required=True, type=Path, help="all cells' scores at sites (Parquet)")
    parser.add_argument("--scores", required=True, type=Path, help="all cells' probe scores (Parquet)")
    parser.add_argument("--tasks", required=True, type=Path, nargs="+", help="task.json files")
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="model.json files")
    parser.add_argument("--figure", required=True, choices=["sites-by-layer", "head-map"], help="which figure")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the figure is made without")
    parser.add_argument("--out", required=True, type=Path, nargs="+", help="files to write: .png, .svg, .pdf")
    args = parser.parse_args()

    check_formats(args.out)
    sites, tasks, models = read_sites(args.sites), read_tasks(args.tasks), read_models(args.models)
    with figure_style():
        if args.figure == "head-map":
            figure = draw_heads(sites, tasks, models)
        else:
            figure = draw_sites(sites, read_scores(args.scores), tasks, models)
    for path in args.out:
        with finished_file(path) as partial:
            save_figure(figure, partial, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
