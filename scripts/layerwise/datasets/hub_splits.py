"""Which files of a repository on the Hugging Face hub are which split.

First come the user's own patterns, then those of the card, then the files' names, as the ``datasets`` library reads
them: https://huggingface.co/docs/datasets/repository_structure and src/datasets/data_files.py, looked up on 27 November
2026 at its commit b7cb10b of 31 July 2026. Unlike there, only tables that this project reads count, shards of a split
may lie outside the folder ``data``, and what the hub converted (the branch refs/convert/parquet) is known by its
folders. Nothing of a repository is run: where a program of its own says what its files mean, it is refused.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from fsspec.utils import glob_translate

from layerwise.datasets.hub_card import DEFAULT, DEFAULT_SPLIT, Card, Configuration, one_line
from layerwise.errors import InputError

# Tables, by the ends of their names.
TABLES = (".parquet", ".csv", ".tsv", ".jsonl", ".json", ".csv.gz", ".jsonl.gz")
# What says something about a repository, and is no data.
NO_DATA = {"config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"}
# Shards of a split of any name.
SHARDS = re.compile(r"(?:data/)?(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*")
# What the branch refs/convert/parquet holds: CONFIGURATION/SPLIT/0000.parquet, or of long splits a part of it.
CONVERTED = re.compile(r"(?P<configuration>[^/]+)/(?P<split>[^/]+)/\d{4}\.parquet")
WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
# Such a word stands alone, or between these.
BESIDE = "[-._ 0-9]"
# How many files, splits or configurations a message names.
NAMED = 6


def find_splits(
    where: str, paths: Sequence[str], card: Card, configuration: str | None, program: str | None
) -> dict[str, list[str]]:
    """The tables of each split, in the order in which they are read.

    Args:
        where: the data set's key, for messages.
        paths: of all files in the repository, sorted.
        card: of the data set.
        configuration: that is asked for; None for the default one.
        program: the repository's loading script; None if it has none.

    Raises:
        InputError: when there is no such configuration, or neither card nor names tell.
    """
    tables = [path for path in paths if is_table(path) and not _is_hidden(path)]
    name, chosen = _choose(where, card, configuration)
    if chosen is not None and chosen.data_files is not None:
        found = {
            split: [path for pattern in patterns for path in matching(_below(chosen.folder, pattern), tables)]
            for split, patterns in chosen.data_files.items()
        }
        return {split: list(dict.fromkeys(files)) for split, files in found.items() if files}
    if program is not None:
        raise InputError(
            f"{where}: only the repository's own program {program} knows which files are which split, and no code of a "
            "repository is run"
        )
    if chosen is None and (found := _converted(where, tables, name)):
        return found
    folder = chosen.folder if chosen is not None else ""
    if chosen is None and name is not None:
        folder = name
        if not any(path.startswith(f"{folder}/") for path in tables):
            raise InputError(
                f"{where}.configuration: neither the data set's card nor a folder has {name!r}; leave it out, or name "
                "the files with `files`"
            )
    beginning = f"{folder}/" if folder else ""
    inside = [path.removeprefix(beginning) for path in tables if path.startswith(beginning)]
    return {split: [beginning + path for path in files] for split, files in _by_name(inside).items()}


def asked_files(where: str, asked: Mapping[str, Sequence[str]], paths: Sequence[str]) -> dict[str, list[str]]:
    """The files that a user's own patterns name, by split or key.

    Raises:
        InputError: when a pattern names none, or files that are no tables.
    """
    return {key: list(dict.fromkeys(_named(f"{where}.{key}", patterns, paths))) for key, patterns in asked.items()}


def check_found(where: str, splits: Mapping[str, Sequence[str]]) -> None:
    """Refuse splits that card or names give, but no reader could take as they are meant.

    Raises:
        InputError: when the files of a split are of several kinds, which cannot be one table, or splits share a file.
    """
    split_of: dict[str, str] = {}
    for split, files in splits.items():
        kinds = {next(end for end in sorted(TABLES, key=len, reverse=True) if path.endswith(end)) for path in files}
        if len(kinds) > 1:
            raise InputError(
                f"{where}: the split {split!r} is in files of several kinds ({', '.join(sorted(kinds))}), "
                f"{listed(files)}; name those to read with `files`"
            )
        for path in files:
            if (other := split_of.setdefault(path, split)) != split:
                raise InputError(
                    f"{where}: {listed([path])} is in the splits {other!r} and {split!r}; name the files of each with "
                    "`files`"
                )


def is_table(path: str) -> bool:
    """Whether a path is that of a table, by its name."""
    return path.endswith(TABLES) and PurePosixPath(path).name not in NO_DATA


def matching(pattern: str, paths: Sequence[str]) -> list[str]:
    """The paths that a pattern names: ``*`` is anything within a name, ``**`` any folders."""
    try:
        matches = re.compile(glob_translate(pattern.removeprefix("./"))).match
    # ** beside other characters, or a range that ends before it begins.
    except (ValueError, re.error):
        return []
    return [path for path in paths if matches(path)]


def listed(names: Sequence[str]) -> str:
    """Names for a message: the first few, on one line."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(one_line(name, 120) for name in names[:NAMED]) + more


def _named(where: str, patterns: Sequence[str], paths: Sequence[str]) -> list[str]:
    found = []
    for pattern in patterns:
        # A path may have brackets in it, which a pattern reads as a choice of letters.
        files = [pattern] if pattern in paths else matching(pattern, paths)
        if not files:
            raise InputError(f"{where}: no file of the repository is {pattern!r}; it has {listed(paths) or 'none'}")
        found += files
    return found


def _choose(where: str, card: Card, configuration: str | None) -> tuple[str | None, Configuration | None]:
    """The name of the configuration that is read, and what the card says of it, if it lists any."""
    known = card.configurations
    if not known:
        return configuration, None
    marked = [name for name, one in known.items() if one.default]
    name = configuration or (next(iter(known)) if len(known) == 1 else next(iter(marked), DEFAULT))
    if name not in known:
        raise InputError(
            f"{where}.configuration: {'there is no ' + repr(name) if configuration else 'give one'}; the data set's "
            f"card has {listed(list(known))}"
        )
    return name, known[name]


def _converted(where: str, tables: Sequence[str], name: str | None) -> dict[str, list[str]]:
    """The splits of one configuration where all tables were converted by the hub; empty where they were not."""
    found = [CONVERTED.fullmatch(path) for path in tables]
    if not tables or not all(found):
        return {}
    configurations: dict[str, dict[str, list[str]]] = {}
    for path, parts in zip(tables, found, strict=True):
        assert parts is not None
        configurations.setdefault(parts["configuration"], {}).setdefault(parts["split"], []).append(path)
    only = next(iter(configurations)) if len(configurations) == 1 else DEFAULT
    if (name or only) not in configurations:
        raise InputError(
            f"{where}.configuration: {'there is no ' + repr(name) if name else 'give one'}; the repository has "
            f"{listed(list(configurations))}"
        )
    return configurations[name or only]


def _by_name(paths: Sequence[str]) -> dict[str, list[str]]:
    """Splits by the names of shards, else of folders, else of files; else one split of all files."""
    shards: dict[str, list[str]] = {}
    for path in paths:
        if found := SHARDS.fullmatch(path):
            shards.setdefault(found[1], []).append(path)
    if shards:
        return shards
    for patterns in (
        ("**/{word}/**", "**/{word}{beside}*/**", "**/*{beside}{word}/**", "**/*{beside}{word}{beside}*/**"),
        ("**/{word}{beside}*", "**/*{beside}{word}{beside}*"),
    ):
        found_of = {}
        for split, words in WORDS.items():
            files = [
                path
                for word in words
                for pattern in patterns
                for path in matching(pattern.format(word=word, beside=BESIDE), paths)
            ]
            if files:
                found_of[split] = sorted(dict.fromkeys(files))
        if found_of:
            return found_of
    return {DEFAULT_SPLIT: list(paths)} if paths else {}


def _is_hidden(path: str) -> bool:
    """Whether a file or one of its folders is called as ``.git`` or ``__pycache__`` are."""
    return any(part.startswith((".", "__")) and part != ".." for part in PurePosixPath(path).parts)


def _below(folder: str, pattern: str) -> str:
    return f"{folder}/{pattern}" if folder else pattern
