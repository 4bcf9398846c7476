"""The command ``layerwise``: parse the command line and run the subcommand that it names."""

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib import import_module

from layerwise.console.commands import COMMANDS
from layerwise.errors import InputError
from layerwise.workflow_folder import version

DESCRIPTION = "Where in a multimodal LLM does an image's meaning live? Begin with `layerwise init my-study`."


def main(words: Sequence[str] | None = None) -> None:
    """Run a subcommand. An :class:`InputError` ends the program with one line on stderr and exit status 1.

    Args:
        words: the command line. Default: that of the program.
    """
    words = sys.argv[1:] if words is None else words
    parser = argparse.ArgumentParser(prog="layerwise", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"layerwise {version()}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    named = next((word for word in words if not word.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == named:
            # The others would take a second to import, for nothing.
            module = import_module(f"layerwise.console.{name}")
            module.add_options(command)
            command.set_defaults(run=module.run)
    options = parser.parse_args(words)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    try:
        options.run(options)
    except InputError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
