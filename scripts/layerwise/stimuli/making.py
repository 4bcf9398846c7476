"""From the options of a job to its stimuli, by the kind that its entry names."""

import argparse
import json
from pathlib import Path
from typing import Any

from layerwise.config.stimuli import StimuliEntry
from layerwise.datasets.catalogue import FORMATS
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.catalogue import KINDS


def read_entry(given: dict[str, Any]) -> StimuliEntry:
    """The entry of a stimulus set. Jobs leave out its prompts, which decide nothing here."""
    return KINDS[given["kind"]].entry_class.model_validate({"prompts": ["none"]} | given)


def build_stimuli(entry: StimuliEntry, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
    """The stimuli of an entry, and the files that they were read from; see
    :meth:`layerwise.stimuli.kind.StimulusKind.build`."""
    return KINDS[entry.kind].build(entry, sources, seed)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`read_options` needs."""
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--annotations", default="", help="folder of annotation files")
    parser.add_argument("--images", default="", help="folder of images")
    parser.add_argument("--seed", type=int, required=True)


def read_options(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, StimuliEntry, Sources]:
    """Read a command line that may have further options, those of the data set's format."""
    args, further = parser.parse_known_args()
    entry = read_entry(args.entry)
    kind = KINDS[entry.kind]
    options = argparse.ArgumentParser(prog=parser.prog, add_help=False)
    for name, text in FORMATS[kind.format].reading_options.items() if kind.format is not None else ():
        options.add_argument(f"--{name}", dest=name, type=json.loads, default=argparse.SUPPRESS, help=text)
    return args, entry, Sources(args.annotations, args.images, vars(options.parse_args(further)))
