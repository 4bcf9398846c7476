"""From the options of a job to its stimuli, by the kind that its entry names."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from layerwise.checksums import file_sha256
from layerwise.config.stimuli import StimuliEntry
from layerwise.datasets.catalogue import FORMATS
from layerwise.datasets.format import format_of_job
from layerwise.datasets.hub_files import read_receipt
from layerwise.errors import InputError
from layerwise.stimuli.building import Sources, Stimuli
from layerwise.stimuli.catalogue import KINDS


def read_entry(given: dict[str, Any]) -> StimuliEntry:
    """The entry of a stimulus set. Jobs leave out its prompts, which decide nothing here.

    Raises:
        InputError: naming the key that does not fit.
    """
    if given.get("kind") not in KINDS:
        raise InputError(f"--entry: the kind {given.get('kind')!r} is not one of {', '.join(KINDS)}")
    try:
        return KINDS[given["kind"]].entry_class.model_validate({"prompts": ["none"]} | given)
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"--entry: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def build_stimuli(entry: StimuliEntry, sources: Sources, seed: int) -> tuple[Stimuli, list[Path]]:
    """The stimuli of an entry, and the files that they were read from; see
    :meth:`layerwise.stimuli.kind.StimulusKind.build`."""
    return KINDS[entry.kind].build(entry, sources, seed)


def source_records(sources: Sources, files: Sequence[Path]) -> list[dict[str, Any]]:
    """What ``stimuli.json`` says of files that stimuli were read from: checksums and, of the hub's, their origin."""
    if sources.format == "hub":
        return read_receipt(sources.annotations).records(files)
    return [{"file": str(file), "sha256": file_sha256(file)} for file in files]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`read_options` needs."""
    parser.add_argument("--entry", type=json.loads, required=True, help="the config entry, as JSON")
    parser.add_argument("--format", choices=list(FORMATS), help="of the data set, for all but the first formats")
    parser.add_argument("--annotations", default="", help="folder of annotation files")
    parser.add_argument("--images", default="", help="folder of images")
    parser.add_argument("--seed", type=int, required=True)


def read_options(parser: argparse.ArgumentParser) -> tuple[argparse.Namespace, StimuliEntry, Sources]:
    """Read a command line that may have further options, those of the data set's format."""
    args, further = parser.parse_known_args()
    entry = read_entry(args.entry)
    kind = KINDS[entry.kind]
    found = format_of_job(args.format, kind.formats)
    options = argparse.ArgumentParser(prog=parser.prog, add_help=False)
    for name, text in FORMATS[found].reading_options.items() if found else ():
        options.add_argument(f"--{name}", dest=name, type=json.loads, default=argparse.SUPPRESS, help=text)
    return args, entry, Sources(found, args.annotations, args.images, vars(options.parse_args(further)))
