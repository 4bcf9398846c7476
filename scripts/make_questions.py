"""Choose questions about images for a model, or read those of a table; or list only the images of the former."""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd

from layerwise.config.flow import QuestionTable
from layerwise.datasets.catalogue import QUESTIONS
from layerwise.datasets.format import format_of_job
from layerwise.errors import InputError
from layerwise.flow.own_questions import own_questions
from layerwise.flow.questions import choose_questions, describe, image_names, tabulate
from layerwise.jobs.command import finished_file, run

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--format", choices=list(QUESTIONS), help="of the data set, for all but the first one")
    parser.add_argument("--annotations", help="of questions of a data set: folder of annotation files")
    parser.add_argument("--images", help="of questions of a data set: folder of images")
    parser.add_argument("--pictures", type=Path, help="of a table that holds pictures: folder to write them to")
    parser.add_argument("--seed", type=int, required=True)
    out = parser.add_mutually_exclusive_group(required=True)
    out.add_argument("--list", type=Path, help="write only the images' names, one a line")
    out.add_argument("--out", type=Path, help="folder of the questions")
    args = parser.parse_args()

    if "file" in args.entry:
        entry = QuestionTable.model_validate(args.entry)
        table, found = own_questions(entry, args.seed, args.pictures)
        _write(args.out, table, describe(args.name, table, found, entry.has))
        return
    source = QUESTIONS[format_of_job(args.format, QUESTIONS)]
    found = choose_questions(source, args.annotations, args.entry["types"], args.entry["per_type"], args.seed)
    if args.list:
        with finished_file(args.list) as partial:
            partial.write_text("".join(f"{name}\n" for name in image_names(source, found)), encoding="utf-8")
        return
    table = tabulate(source, found, args.images)
    description = describe(args.name, table, found)
    for kind, reasons in description["left_out"].items():
        for reason, number in reasons.items():
            log.warning("%s: %d questions were left out: %s", kind, number, reason)
    if table.empty:
        raise InputError(
            f"flow.questions.{args.name}: no question of {args.annotations} is left to ask about images in "
            f"{args.images}; the lines above say why"
        )
    _write(args.out, table, description)


def _write(folder: Path, table: pd.DataFrame, description: dict[str, Any]) -> None:
    with finished_file(folder / "questions.parquet") as partial:
        table.to_parquet(partial, index=False)
    with finished_file(folder / "questions.json") as partial:
        partial.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
