"""Draw learning curves: the best layer's test score by number of training images."""

import argparse
from pathlib import Path

from layerwise.figures.inputs import as_they_are, read_models, read_scores, read_tasks
from layerwise.figures.learning import draw_learning, read_curves
from layerwise.figures.style import check_formats, figure_style, save_figure
from layerwise.jobs.command import finished_file, run
from layerwise.leaving_out import said_of


def main() -> None:
    """Read curves, scores and descriptions, draw, write one file per output name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--curves", required=True, type=Path, help="learning curves of all cells (Parquet)")
    parser.add_argument("--scores", required=True, type=Path, help="all cells' probe scores (Parquet)")
    parser.add_argument("--tasks", required=True, type=Path, nargs="+", help="task.json files, in order of the bands")
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="model.json files, in order of colour")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the figure is made without")
    parser.add_argument("--out", required=True, type=Path, nargs="+", help="files to write: .png, .svg, .pdf")
    args = parser.parse_args()

    check_formats(args.out)
    tasks = read_tasks(args.tasks)
    scores, models = as_they_are(read_scores(args.scores), read_models(args.models))
    curves = read_curves(args.curves)
    curves = curves[curves["model"].isin(models)]
    with figure_style():
        figure = draw_learning(curves, scores, tasks, models)
    for path in args.out:
        with finished_file(path) as partial:
            save_figure(figure, partial, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
