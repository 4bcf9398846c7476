"""Put a finished study into a folder that others can read without this project."""

import argparse
import logging
from pathlib import Path

from layerwise.console.studies import add_study, load_study
from layerwise.publish.publishing import Wanted, publish


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    add_study(parser)
    parser.add_argument("--out", type=Path, required=True, help="the folder to make")
    parser.add_argument(
        "--licence",
        action="append",
        default=[],
        help="of what is published, such as cc-by-4.0; or models.NAME=LICENCE, datasets.NAME=LICENCE or "
        "stimuli.NAME=LICENCE of what it was made from. May be repeated",
    )
    parser.add_argument(
        "--states",
        nargs="+",
        default=[],
        metavar="CELL",
        help="also publish hidden states: of these cells, each MODEL/STIMULI/PROMPT, or of all (the word all)",
    )
    parser.add_argument("--texts", action="store_true", help="also publish the texts that the ids stand for")
    parser.add_argument("--title", default="", help="of the card; default: names the models")
    parser.add_argument("--citation", type=Path, help="default: CITATION.cff beside the study")


def run(options: argparse.Namespace) -> None:
    """Make the folder, and say how large it is and whose licence is unknown."""
    logging.getLogger("layerwise").setLevel(logging.INFO)
    asked = (options.out, options.states, options.licence, options.title, options.citation, options.texts)
    publish(load_study(options), Wanted(*asked))
