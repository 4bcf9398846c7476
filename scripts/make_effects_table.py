"""Write Table 3 (the topmost block with an intervention and without it) in four formats."""

import argparse
from pathlib import Path

from layerwise.figures.effects import compare_interventions, effect_sections
from layerwise.figures.inputs import read_models, read_scores, read_tasks
from layerwise.figures.tables import write_table
from layerwise.jobs.command import run
from layerwise.leaving_out import said_of

TITLE = "Table 3: interventions"


def main() -> None:
    """Read the scores and the descriptions, compare in every cell, write the table in four formats."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scores", required=True, type=Path, help="all cells' probe scores (Parquet)")
    parser.add_argument("--predictions-root", required=True, type=Path, help="folder of the cells' predictions")
    parser.add_argument("--tasks", required=True, type=Path, nargs="+", help="task.json files, in order of the rows")
    parser.add_argument("--models", required=True, type=Path, nargs="+", help="model.json files, in order of the rows")
    parser.add_argument("--resamples", type=int, default=1000, help="bootstrap resamples for the intervals")
    parser.add_argument("--permutations", type=int, default=20_000, help="swaps drawn for each p-value")
    parser.add_argument("--seed", type=int, required=True, help="seed of both")
    parser.add_argument("--left-out", nargs="+", default=[], help="models that the table is made without")
    parser.add_argument("--out-dir", required=True, type=Path, help="folder for table3.*")
    args = parser.parse_args()

    scores, tasks, models = read_scores(args.scores), read_tasks(args.tasks), read_models(args.models)
    how = args.predictions_root, args.resamples, args.permutations, args.seed
    table = compare_interventions(scores, tasks, models, *how)
    numbers = table.to_csv(index=False, lineterminator="\n")
    write_table(args.out_dir, "table3", TITLE, effect_sections(table), numbers, said_of(args.left_out))


if __name__ == "__main__":
    run(main)
