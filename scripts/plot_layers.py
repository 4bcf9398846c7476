"""Draw probe scores by layer: Figure 1 (entailment), 2 (recognition by model) or 3 (recognition by prompt)."""

import argparse
from pathlib import Path

from layerwise.figures.inputs import as_they_are, read_models, read_scores, read_tasks
from layerwise.figures.layers import AXES, FIGURES, draw_layers
from layerwise.figures.style import check_formats, figure_style, save_figure
from layerwise.jobs.command import finished_file, run
from layerwise.leaving_out import said_of


def main() -> None:
    """Read the scores and the descriptions, draw, write one file per output name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", required=True, type=Path, help="all cells' probe scores (Parquet)")
    parser.add_argument(
        "--tasks", required=True, type=Path, nargs="+", help="task.json files; the figure picks its own"
    )
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="model.json files, in order of colour")
    parser.add_argument("--figure", required=True, choices=list(FIGURES), help="which figure")
    parser.add_argument("--axis", default="layer", choices=list(AXES), help="x axis: layer index or relative depth")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the figure is made without")
    parser.add_argument("--out", required=True, type=Path, nargs="+", help="files to write: .png, .svg, .pdf")
    args = parser.parse_args()

    check_formats(args.out)
    tasks = read_tasks(args.tasks)
    scores, models = as_they_are(read_scores(args.scores), read_models(args.models))
    with figure_style():
        figure = draw_layers(scores, tasks, models, args.figure, args.axis)
    for path in args.out:
        with finished_file(path) as partial:
            save_figure(figure, partial, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
