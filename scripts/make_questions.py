"""Choose questions about images: what a model is asked, or only the images that this shows."""

import argparse
import json
import logging
from pathlib import Path

from layerwise.command import finished_file, run
from layerwise.datasets.catalogue import QUESTIONS
from layerwise.errors import InputError
from layerwise.flow.questions import choose_questions, describe, image_names, tabulate

log = logging.getLogger(__name__)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--format", choices=list(QUESTIONS), default=next(iter(QUESTIONS)), help="of the data set")
    parser.add_argument("--annotations", required=True, help="folder of annotation files")
    parser.add_argument("--images", required=True, help="folder of images")
    parser.add_argument("--seed", type=int, required=True)
    out = parser.add_mutually_exclusive_group(required=True)
    out.add_argument("--list", type=Path, help="write no more than the images' names, one a line")
    out.add_argument("--out", type=Path, help="folder of the questions")
    args = parser.parse_args()

    source = QUESTIONS[args.format]
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
    with finished_file(args.out / "questions.parquet") as partial:
        table.to_parquet(partial, index=False)
    with finished_file(args.out / "questions.json") as partial:
        partial.write_text(json.dumps(description, indent=2) + "\n")


if __name__ == "__main__":
    run(main)
