"""Find the classes of a prompt's answers in what a model wrote."""

import argparse
import json
from pathlib import Path

from layerwise.answers.matching import filled, said_in
from layerwise.answers.written import read_texts
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file, run
from layerwise.stimuli.items import read_items


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--written", type=Path, required=True, help="what the model wrote")
    parser.add_argument("--stimuli", type=Path, required=True, help="folder of the stimulus set")
    parser.add_argument("--answers", type=json.loads, required=True, help="words by class, as JSON")
    parser.add_argument("--out", type=Path, required=True, help="Parquet file to write")
    args = parser.parse_args()

    texts, _ = read_texts(args.written)
    items, _ = read_items(args.stimuli)
    if set(texts["item_id"]) != set(items["item_id"]):
        raise InputError(f"{args.written}: is about other items than {args.stimuli}; delete it and run again")
    # What each item puts into the prompt, and so into the answers.
    shown = items.set_index("item_id").to_dict("index")
    said = [said_in(row.text, filled(args.answers, shown[row.item_id])) for row in texts.itertuples()]
    with finished_file(args.out) as file:
        texts.assign(**{"class": said}).to_parquet(file, index=False)


if __name__ == "__main__":
    run(main)
