"""Where the workflow lies: ``snakemake --snakefile "$(layerwise where)"``."""

import argparse

from layerwise.errors import InputError
from layerwise.workflow_folder import WORKFLOW


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this subcommand."""
    parser.add_argument(
        "part",
        nargs="?",
        default="Snakefile",
        help="print the path of this part of the workflow instead, such as profiles/slurm or config/prompts.yaml",
    )


def run(options: argparse.Namespace) -> None:
    """Print the path.

    Raises:
        InputError: when the workflow has no such part.
    """
    if not (WORKFLOW / options.part).exists():
        known = ", ".join(sorted(part.name for part in WORKFLOW.iterdir() if not part.name.startswith(".")))
        raise InputError(f"{WORKFLOW}: there is no {options.part!r}; it has {known}")
    print(WORKFLOW / options.part)
