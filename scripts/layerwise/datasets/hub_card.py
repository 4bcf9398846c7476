"""What the card of a data set on the Hugging Face hub (its README.md) says: licence, citation, and files of splits.

The keys are those of https://huggingface.co/docs/hub/datasets-cards and /datasets-manual-configuration, as the
``datasets`` library reads them (src/datasets/utils/metadata.py, looked up on 27 November 2026 at its commit b7cb10b of
31 July 2026). A card is a stranger's text: what is shown of it is one line of printable characters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import DatasetCard

from layerwise.errors import InputError

# How many characters of a licence and a citation are kept.
LONGEST_LICENCE, LONGEST_CITATION = 300, 5000
# The split of files that no split is named for.
DEFAULT_SPLIT = "train"
DEFAULT = "default"
HEADING = re.compile(r"^#{1,6}\s+(.*)$", re.MULTILINE)
ENTRY = re.compile(r"@[A-Za-z]+\s*\{")


@dataclass(frozen=True)
class Configuration:
    """One of the configurations (subsets) of a data set.

    Attributes:
        data_files: patterns by split; None where the card names none, so that the files' names tell.
        folder: that these patterns and names start from.
        default: whether the card marks it as the default.
    """

    data_files: dict[str, list[str]] | None = None
    folder: str = ""
    default: bool = False


@dataclass(frozen=True)
class Card:
    """What a card says; texts are empty where it says nothing."""

    licence: str = ""
    citation: str = ""
    configurations: Mapping[str, Configuration] = field(default_factory=dict)


def read_card(file: Path, where: str) -> Card:
    """Read a card.

    Args:
        file: its README.md.
        where: the data set's key, for messages.

    Raises:
        InputError: when its metadata cannot be read, or what they say of a configuration.
    """
    try:
        card = DatasetCard.load(file)
        data = card.data.to_dict()
    # Of metadata that are no YAML, no mapping, or have keys that are no text.
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{where}: the metadata of the data set's card cannot be read ({one_line(error, 200)}); name its files "
            "with `files`"
        ) from error
    return Card(_licence(data), _citation(card.text), dict(_configurations(data, where)))


def one_line(said: object, longest: int) -> str:
    """A stranger's text as one line of printable characters, cut where it is too long."""
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(str(said).split()))
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def _licence(data: Mapping[str, Any]) -> str:
    """The licence: its id on the hub, and of another one its name and address."""
    ids = data.get("license") or []
    named = [*(ids if isinstance(ids, list) else [ids]), data.get("license_name"), data.get("license_link")]
    return one_line(", ".join(str(name) for name in named if name), LONGEST_LICENCE)


def _citation(text: str) -> str:
    """The BibTeX entries below a heading about citing, or else the first one anywhere."""
    _, *parts = HEADING.split(text)
    below = zip(parts[::2], parts[1::2], strict=True)
    sections = [section for heading, section in below if re.search(r"\bcit(e|ing|ation)", heading, re.IGNORECASE)]
    cited = [entry for section in sections for entry in _bibtex(section)] or _bibtex(text)[:1]
    return one_line(" ".join(cited), LONGEST_CITATION)


def _bibtex(text: str) -> list[str]:
    """The BibTeX entries in a text: from an @ to the brace that closes."""
    entries: list[str] = []
    end = 0
    for begin in ENTRY.finditer(text):
        if begin.start() < end:
            continue
        depth = 0
        for place in range(begin.end() - 1, len(text)):
            depth += {"{": 1, "}": -1}.get(text[place], 0)
            if depth == 0:
                end = place + 1
                entries.append(text[begin.start() : end])
                break
        else:
            # No later one closes either.
            break
    return entries


def _configurations(data: Mapping[str, Any], where: str) -> list[tuple[str, Configuration]]:
    listed = data.get("configs") or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) and "config_name" in one for one in listed):
        raise InputError(
            f"{where}: `configs` of the data set's card is no list of configurations; name its files with `files`"
        )
    found = []
    for one in listed:
        name, files = str(one["config_name"]), one.get("data_files")
        try:
            patterns = None if files is None else _by_split(files)
        except ValueError as error:
            raise InputError(
                f"{where}: the data set's card says of its configuration {name!r} what cannot be read ({error}); name "
                "its files with `files`"
            ) from error
        folder = str(one.get("data_dir") or "").strip("/")
        found.append((name, Configuration(patterns, folder, one.get("default") is True)))
    return found


def _by_split(files: Any) -> dict[str, list[str]]:
    """``data_files`` of a configuration, in any of its forms, as patterns by split.

    Raises:
        ValueError: saying what is wrong.
    """
    entries = files if isinstance(files, list) else [files]
    if isinstance(files, dict):
        entries = [{"split": split, "path": path} for split, path in files.items()]
    if all(isinstance(entry, str) for entry in entries):
        return {DEFAULT_SPLIT: entries}
    found: dict[str, list[str]] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not {"split", "path"} <= entry.keys():
            raise ValueError("data_files is neither a path nor a list of paths, or of splits with their paths")
        paths = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        if not all(isinstance(path, str) for path in paths):
            raise ValueError(f"the path of the split {one_line(entry['split'], 80)} is no text")
        if str(entry["split"]) in found:
            raise ValueError(f"the split {one_line(entry['split'], 80)} is there twice")
        found[str(entry["split"])] = paths
    return found
