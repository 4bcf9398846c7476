"""The study that a subcommand is about."""

import argparse
from pathlib import Path

from layerwise.errors import InputError
from layerwise.study import Study

# What `layerwise init` writes.
STUDY = "study.yaml"


def add_study(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the study."""
    parser.add_argument("study", type=Path, nargs="*", default=[Path(STUDY)], help=f"its YAML file (default: {STUDY})")


def load_study(options: argparse.Namespace) -> Study:
    """The study that the command line names; later files override earlier ones.

    Raises:
        InputError: when it is not there, or cannot be used.
    """
    if options.study == [Path(STUDY)] and not Path(STUDY).is_file():
        raise InputError(f"there is no {STUDY} here; name a study, or write one with `layerwise init .`")
    return Study.load(*options.study)


def run_command(files: list[Path], *more: str) -> str:
    """The command that runs a study, from any folder."""
    return " ".join(['snakemake --snakefile "$(layerwise where)" --cores all --configfile', *map(str, files), *more])
