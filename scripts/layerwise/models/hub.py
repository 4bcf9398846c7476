"""Download models from the Hugging Face hub: pinned to a commit, resumed after an interruption, and checked."""

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.utils import filter_repo_objects, httpx

from layerwise.errors import InputError
from layerwise.hub_client import (
    FAILURES,
    KEPT,
    Repository,
    ask_for_files,
    check_large_files,
    download_large_files,
    few,
    in_words,
    large_files,
    without_secrets,
)

log = logging.getLogger(__name__)

# No pickles and no code: weights are safetensors, everything else is text.
TEXT = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
WEIGHTS, CODE = ["*.safetensors"], ["*.py"]
# Copies of the same weights in the layout of their authors' code.
TWICE = ["consolidated*.safetensors", "*/*.safetensors"]
COMMIT = re.compile(r"[0-9a-f]{40}")


def snapshot(name: str, source: str, revision: str | None, patterns: Sequence[str]) -> tuple[Path, str]:
    """Download the missing files of a model. Finished files are kept, and partial ones are resumed.

    Args:
        name: the model's name in the config, for messages.
        source: its id on the hub.
        revision: a commit, tag or branch; None for the default branch.
        patterns: of the files that are wanted.

    Returns:
        The folder in the hub's cache, and the commit.

    Raises:
        InputError: when the files cannot be downloaded, or have other checksums than the hub says.
    """
    repository = Repository(f"models.{name}", source)
    commit = revision if revision and COMMIT.fullmatch(revision) else None
    shown = f"{source} (revision {revision or 'main'})"
    wanted: dict[str, Any] = {"allow_patterns": patterns, "ignore_patterns": TWICE}
    try:
        folder = (commit and _cached(source, commit, wanted)) or _downloaded(repository, revision, wanted)
    except InputError:
        raise
    except FAILURES as error:
        raise InputError(f"models.{name}: cannot download {shown}: {in_words(error, repository)}\n{KEPT}") from error
    there = sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file())
    check_large_files(repository.key, folder, there)
    # The cache names a snapshot's folder by its commit.
    found_commit = folder.name
    if commit is None:
        log.warning(
            "models.%s: %s is commit %s at present; pin it: `revision: %s`", name, shown, found_commit, found_commit
        )
    return folder, found_commit


def _cached(source: str, revision: str, wanted: dict[str, Any]) -> Path | None:
    """The folder of a commit that is known to be complete in the cache, without asking the hub.

    The cache keeps a list of a commit's files once all were downloaded. Without a list (only some files were requested,
    or by an older client) it is unknown what is missing.
    """
    try:
        get_cached_repo_tree(source, revision=revision)
        return Path(snapshot_download(source, revision=revision, local_files_only=True, **wanted))
    except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError, OSError):
        return None


def _downloaded(repository: Repository, revision: str | None, wanted: dict[str, Any]) -> Path:
    """The folder of a snapshot, with missing files downloaded; the cached snapshot if the hub cannot be reached."""
    pinned = bool(COMMIT.fullmatch(revision or ""))
    try:
        commit, listed = ask_for_files(repository, revision)
    except (httpx.ConnectError, httpx.TimeoutException, OfflineModeIsEnabled) as error:
        return _kept(repository, revision, wanted, error)
    except HfHubHTTPError as error:
        # Only the hub knows the present commit of a branch. A commit stays the same, even without a token.
        if not pinned:
            raise
        return _kept(repository, revision, wanted, error)
    paths = filter_repo_objects([file.path for file in listed], **wanted)
    download_large_files(repository, commit, large_files(listed, paths))
    return Path(snapshot_download(repository.source, revision=revision, **wanted))


def _kept(repository: Repository, revision: str | None, wanted: dict[str, Any], reason: Exception) -> Path:
    """The cached snapshot, when the hub does not answer.

    Raises:
        InputError: naming the files that are missing.
    """
    source = repository.source
    log.warning("the hub cannot be asked (%s); looking for %s in the cache", without_secrets(reason), source)
    try:
        folder = Path(snapshot_download(source, revision=revision, local_files_only=True, **wanted))
        missing = _missing(folder, wanted["allow_patterns"])
    except IncompleteSnapshotError as error:
        folder = Path(error.snapshot_path)
        paths = [file.path for file in get_cached_repo_tree(source, revision=revision)]
        missing = [path for path in filter_repo_objects(paths, **wanted) if not (folder / path).is_file()]
    except LocalEntryNotFoundError:
        raise reason from None
    if missing:
        raise InputError(
            f"{repository.key}: the cache holds only part of {source} (revision {revision or 'main'}), and the hub "
            f"cannot be asked for the rest ({in_words(reason, repository)}). Missing in {folder}: {few(missing)}. Run "
            "the same command where the hub can be reached"
        )
    return folder


def _missing(folder: Path, patterns: Sequence[str]) -> list[str]:
    """Files that a cached snapshot without a list lacks, as far as its own files tell."""
    needed = ["config.json", *(pattern for pattern in patterns if "*" not in pattern)]
    index = folder / "model.safetensors.index.json"
    if set(WEIGHTS) <= set(patterns):
        if index.is_file():
            needed += sorted(set(json.loads(index.read_text())["weight_map"].values()))
        elif not any(folder.glob("*.safetensors")):
            needed.append("model.safetensors")
    return [path for path in needed if not (folder / path).is_file()]
