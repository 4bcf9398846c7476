"""Say what a file of hidden states holds."""

import argparse
from pathlib import Path

from layerwise.states.described import described, norms


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    parser.add_argument("files", type=Path, nargs="+", help="states files (.h5)")
    parser.add_argument("--verify", action="store_true", help="also read all of it, and print each layer's norms")


def run(options: argparse.Namespace) -> None:
    """Print the description of each file."""
    for path in options.files:
        print(*described(path), *(norms(path) if options.verify else ()), sep="\n")
