"""Write Table 1 (tasks, models, prompts) and Table 2 (best layer against topmost block) in four formats."""

import argparse
from functools import partial
from pathlib import Path

from layerwise.figures.comparison import compare_layers, comparison_sections
from layerwise.figures.inputs import as_they_are, read_models, read_prompts, read_scores, read_tasks
from layerwise.figures.overview import PROBED, overview_sections
from layerwise.figures.tables import to_csv, write_table
from layerwise.jobs.command import run
from layerwise.leaving_out import said_of


def main() -> None:
    """Read the scores and the descriptions, compare layers in every cell, write both tables in four formats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", required=True, type=Path, help="all cells' probe scores (Parquet)")
    parser.add_argument("--predictions-root", required=True, type=Path, help="folder of the cells' predictions")
    parser.add_argument("--tasks", required=True, type=Path, nargs="+", help="task.json files, in order of the rows")
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="model.json files, in order of the rows")
    parser.add_argument("--prompts", required=True, type=Path, nargs="+", help="JSON lists of stimuli, prompt, text")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples for the intervals")
    parser.add_argument("--permutations", type=int, default=20_000, help="swaps drawn for each p-value")
    parser.add_argument("--seed", type=int, required=True, help="seed of both")
    parser.add_argument("--position", required=True, choices=list(PROBED), help="which states were probed")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the tables are made without")
    parser.add_argument("--out-dir", required=True, type=Path, help="folder for table1.* and table2.*")
    args = parser.parse_args()

    scores, tasks, models = read_scores(args.scores), read_tasks(args.tasks), read_models(args.models)
    prompts = [prompt for path in args.prompts for prompt in read_prompts(path)]
    overview = overview_sections(scores, tasks, models, prompts, args.position)
    how = args.predictions_root, args.resamples, args.permutations, args.seed
    shown, unchanged = as_they_are(scores, models)
    compared = compare_layers(shown, tasks, unchanged, *how)
    comparison = comparison_sections(compared)
    numbers = compared.to_csv(index=False, lineterminator="\n")
    write = partial(write_table, args.out_dir, note=said_of(args.left_out))
    write("table1", "Table 1: tasks, models and prompts", overview, to_csv(overview))
    write("table2", "Table 2: best layer and topmost block", comparison, numbers)


if __name__ == "__main__":
    run(main)
