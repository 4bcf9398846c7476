"""Download a data set from the Hugging Face hub: the splits that are asked for, by commit, and checked."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from layerwise.checksums import file_sha256
from layerwise.datasets.disk import readable
from layerwise.datasets.hub_card import LONGEST_CITATION, LONGEST_LICENCE, Card, one_line, read_card
from layerwise.datasets.hub_splits import asked_files, check_found, find_splits, is_table, listed
from layerwise.errors import InputError
from layerwise.hub_client import CARD, SHA256, Repository, ask_for_commit, fetch, list_files

log = logging.getLogger(__name__)

# Where the hub keeps the tables that it made of a data set.
CONVERTED = "refs/convert/parquet"


def download_hub_files(key: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Download what is missing of a data set. No code of its repository runs.

    Args:
        key: its key in the config, for messages.
        asked: ``repository``, ``revision``, ``splits``, and where they are given ``configuration``, ``files`` (patterns
            by split), ``pictures`` (patterns), ``licence`` and ``citation``; see
            :class:`layerwise.datasets.format.OwnDownload`.

    Returns:
        The receipt; see :class:`layerwise.datasets.hub_files.HubFiles`.

    Raises:
        InputError: when the hub or the data set cannot give what is asked for.
    """
    repository, revision = Repository(key, asked["repository"], "dataset"), asked["revision"]
    known = list_files(repository, revision)
    paths = list(known)
    card = _card(repository, revision, known, strict="files" not in asked)
    licence = one_line(asked["licence"], LONGEST_LICENCE) if "licence" in asked else card.licence
    log.info("%s (%s)", repository.source, f"licence: {licence}" if licence else f"no licence on {repository.page}")
    splits = _splits(key, asked, repository, paths, card)
    pictures = asked_files(key, {"pictures": asked.get("pictures", [])}, paths)["pictures"]
    wanted = dict.fromkeys([path for files in splits.values() for path in files] + pictures)
    _check_names(key, repository, wanted)
    root = fetch(repository, revision, {path: known[path] for path in wanted})
    files = {split: [_record(root, path) for path in of_split] for split, of_split in splits.items()}
    for split, of_split in files.items():
        log.info("%s: %d files, %s", split, len(of_split), readable(sum(file["size"] for file in of_split)))
    return {
        "repository": repository.source,
        "revision": revision,
        "configuration": asked.get("configuration"),
        "licence": licence,
        "citation": one_line(asked["citation"], LONGEST_CITATION) if "citation" in asked else card.citation,
        "root": str(root),
        "files": files,
        "pictures": [_record(root, path) for path in pictures],
    }


def _card(repository: Repository, revision: str, known: dict[str, str], strict: bool) -> Card:
    """The card at a commit. The hub's converted tables have none: then the present card tells licence and citation.

    Raises:
        InputError: when it cannot be read, if it is ``strict``.
    """
    if CARD in known:
        return _read(repository, revision, known, strict)
    commit = ask_for_commit(repository, "main")
    of_main = {} if commit is None else list_files(repository, commit)
    if commit is None or CARD not in of_main:
        return Card()
    log.info("there is no card at %s; licence and citation are those of the commit %s", revision, commit)
    card = _read(repository, commit, of_main, strict=False)
    return Card(card.licence, card.citation)


def _read(repository: Repository, commit: str, known: dict[str, str], strict: bool) -> Card:
    file = fetch(repository, commit, {CARD: known[CARD]}) / CARD
    try:
        return read_card(file, repository.key)
    except InputError as error:
        if strict:
            raise
        log.warning("%s", error)
        return Card()


def _splits(
    key: str, asked: Mapping[str, Any], repository: Repository, paths: Sequence[str], card: Card
) -> dict[str, list[str]]:
    """The files of the splits that are asked for.

    Raises:
        InputError: when one is not there, or is in files that are no tables.
    """
    if "files" in asked:
        found = asked_files(f"{key}.files", asked["files"], paths)
        for split, files in found.items():
            if other := [path for path in files if not is_table(path)]:
                raise InputError(f"{key}.files.{split}: {listed(other)} cannot be read as tables; name others")
        return found
    program = next((path for path in paths if path == f"{PurePosixPath(repository.source).name}.py"), None)
    try:
        found = find_splits(key, paths, card, asked.get("configuration"), program)
    except InputError as error:
        raise InputError(f"{error}{_way_out(repository) if program else ''}") from error
    if missing := [split for split in asked["splits"] if split not in found]:
        raise InputError(
            f"{key}: {repository.source} has no split {missing[0]!r} in tables that can be read; it has "
            f"{listed(list(found)) or 'none'}. `files` names the files of a split (the repository has {listed(paths)})"
        )
    splits = {split: found[split] for split in asked["splits"]}
    check_found(key, splits)
    return splits


def _way_out(repository: Repository) -> str:
    """What to do about a repository that has a loading script."""
    commit = ask_for_commit(repository, CONVERTED)
    found = f"`revision: {commit}`" if commit else f"a commit of its branch {CONVERTED}, if {repository.page} has one"
    return f". Take the tables that the hub made of it ({found}), or name its own files with `files`"


def _check_names(key: str, repository: Repository, paths: Mapping[str, None]) -> None:
    """Refuse names that would lie elsewhere than in the repository's own folder, or cannot be shown.

    Raises:
        InputError: naming the file.
    """
    for path in paths:
        parts = PurePosixPath(path).parts
        if (
            path.startswith("/")
            or ".." in parts
            or "\\" in path
            or str(PurePosixPath(path)) != path
            or not path.isprintable()
        ):
            raise InputError(
                f"{key}: {repository.source} has a file of the name {path[:120]!r}, which is not downloaded"
            )


def _record(root: Path, path: str) -> dict[str, Any]:
    file = root / path
    # The cache names large files by their checksum, which was checked.
    blob = file.resolve().name
    return {"path": path, "size": file.stat().st_size, "sha256": blob if SHA256.fullmatch(blob) else file_sha256(file)}
