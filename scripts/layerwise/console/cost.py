"""Estimate what a study costs, as ``scripts/estimate_cost.py`` does."""

import argparse

from layerwise.console.studies import add_study, load_study
from layerwise.cost.printing import add_rates, print_cost


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    add_study(parser)
    add_rates(parser)


def run(options: argparse.Namespace) -> None:
    """Print the estimate."""
    print_cost(load_study(options), options)
