"""Draw what interventions do: the image hidden from some blocks, or a block routed past those above it."""

import argparse
from pathlib import Path

from layerwise.figures.inputs import read_models, read_prompts, read_scores, read_tasks
from layerwise.figures.interventions import draw_ablation, draw_bypass
from layerwise.figures.style import check_formats, figure_style, save_figure
from layerwise.jobs.command import finished_file, run
from layerwise.leaving_out import said_of


def main() -> None:
    """Read scores and descriptions, draw, write one file per output name."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", required=True, type=Path, help="all cells' probe scores (Parquet)")
    parser.add_argument("--tasks", required=True, type=Path, nargs="+", help="task.json files, in order of the bands")
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="model.json files, in order of the lines")
    parser.add_argument("--prompts", required=True, type=Path, nargs="+", help="prompts.json files")
    parser.add_argument("--figure", required=True, choices=["image-ablation", "bypass"], help="which figure")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the figure is made without")
    parser.add_argument("--out", required=True, type=Path, nargs="+", help="files to write: .png, .svg, .pdf")
    args = parser.parse_args()

    check_formats(args.out)
    scores, tasks, models = read_scores(args.scores), read_tasks(args.tasks), read_models(args.models)
    with figure_style():
        if args.figure == "bypass":
            figure = draw_bypass(scores, tasks, models)
        else:
            prompts = [prompt for path in args.prompts for prompt in read_prompts(path)]
            figure = draw_ablation(scores, tasks, models, prompts)
    for path in args.out:
        with finished_file(path) as partial:
            save_figure(figure, partial, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
