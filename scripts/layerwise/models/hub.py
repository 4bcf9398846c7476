"""Download models from the Hugging Face hub: pinned to a commit, resumed after an interruption, and checked.

Addresses, cache and token come from the standard environment (``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_CACHE``,
``HF_TOKEN``, ``HF_HUB_OFFLINE``). Only rules that run beside the workflow itself download; jobs are offline.
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi, constants, get_cached_repo_tree, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    HfHubHTTPError,
    IncompleteSnapshotError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import WeakFileLock, build_hf_headers, filter_repo_objects, httpx

from layerwise.checksums import file_sha256
from layerwise.errors import InputError

log = logging.getLogger(__name__)
# It logs every address, and addresses of a mirror or a storage server may be signed, which makes them secrets.
logging.getLogger("httpx2").setLevel(logging.WARNING)

# No pickles and no code: weights are safetensors, everything else is text.
TEXT = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
WEIGHTS, CODE = ["*.safetensors"], ["*.py"]
# Copies of the same weights in the layout of their authors' code.
TWICE = ["consolidated*.safetensors", "*/*.safetensors"]
# How many missing files a message names.
NAMED = 3
COMMIT, SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


class LargeFile(NamedTuple):
    """A file that the hub keeps by its checksum."""

    path: str
    size: int
    sha256: str


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
    commit = revision if revision and COMMIT.fullmatch(revision) else None
    shown = f"{source} (revision {revision or 'main'})"
    wanted: dict[str, Any] = {"allow_patterns": patterns, "ignore_patterns": TWICE}
    try:
        folder = (commit and _cached(source, commit, wanted)) or _downloaded(name, source, revision, wanted)
    except InputError:
        raise
    except (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError, ValueError) as error:
        raise InputError(
            f"models.{name}: cannot download {shown}: {error}\nWhat was downloaded is kept; the same command goes on."
        ) from error
    for file in sorted(folder.rglob("*")):
        # The cache names large files by their checksum but checks only their size.
        blob = file.resolve()
        if SHA256.fullmatch(blob.name) and (found := file_sha256(blob)) != blob.name:
            raise InputError(
                f"models.{name}: {file.name} has the SHA-256 {found}, but the hub's is {blob.name}; delete {blob} and "
                "run again"
            )
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


def _downloaded(name: str, source: str, revision: str | None, wanted: dict[str, Any]) -> Path:
    """The folder of a snapshot, with missing files downloaded; the cached snapshot if the hub cannot be reached."""
    pinned = bool(COMMIT.fullmatch(revision or ""))
    try:
        commit, files = _large_files(source, revision, wanted)
    except (httpx.ConnectError, httpx.TimeoutException, OfflineModeIsEnabled) as error:
        return _kept(name, source, revision, wanted, error)
    except HfHubHTTPError as error:
        # Only the hub knows the present commit of a branch. A commit stays the same, even without a token.
        if not pinned:
            raise
        return _kept(name, source, revision, wanted, error)
    _download_large_files(name, source, commit, files)
    return Path(snapshot_download(source, revision=revision, **wanted))


def _kept(name: str, source: str, revision: str | None, wanted: dict[str, Any], reason: Exception) -> Path:
    """The cached snapshot, when the hub does not answer.

    Raises:
        InputError: naming the files that are missing.
    """
    log.warning("the hub cannot be asked (%s); looking for %s in the cache", reason, source)
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
        more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
        raise InputError(
            f"models.{name}: the cache holds only part of {source} (revision {revision or 'main'}), and the hub cannot "
            f"be asked for the rest ({reason}). Missing in {folder}: {', '.join(missing[:NAMED])}{more}. Run the same "
            "command where the hub can be reached"
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


def _large_files(source: str, revision: str | None, wanted: dict[str, Any]) -> tuple[str, list[LargeFile]]:
    """Ask the hub for a snapshot's commit and its wanted large files."""
    api = HfApi()
    # Also for a pinned commit: without a network this fails at once, the list of files only after half a minute.
    commit = api.model_info(source, revision=revision).sha
    tree = api.list_repo_tree(source, recursive=True, revision=commit)
    files = [
        LargeFile(file.path, file.size, file.lfs.sha256) for file in tree if isinstance(file, RepoFile) and file.lfs
    ]
    if commit is None:
        raise ValueError("the hub names no commit")
    return commit, list(filter_repo_objects(files, key=lambda file: file.path, **wanted))


def _download_large_files(name: str, source: str, commit: str, files: Sequence[LargeFile]) -> None:
    """Download large files into the hub's cache, where its client then finds them.

    The client itself would discard a partial file when its process ends.
    """
    repository = repo_folder_name(repo_id=source, repo_type="model")
    blobs = Path(constants.HF_HUB_CACHE) / repository / "blobs"
    locks = Path(constants.HF_HUB_CACHE) / ".locks" / repository
    missing = [file for file in files if not (blobs / file.sha256).exists()]
    for folder in (blobs, locks):
        folder.mkdir(parents=True, exist_ok=True)
    _check_space(name, blobs, sum(file.size - _size(_partial(blobs / file.sha256)) for file in missing))
    for file in missing:
        # The hub sends larger files by another protocol.
        if file.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
            continue
        blob = blobs / file.sha256
        # This is the hub client's own lock.
        with WeakFileLock(locks / f"{blob.name}.lock"):
            if blob.exists():
                continue
            partial = _partial(blob)
            with open(partial, "ab") as content:
                start = content.tell()
                log.info("%s: %d of %d bytes are there", file.path, start, file.size)
                address = hf_hub_url(source, file.path, revision=commit)
                http_get(address, content, resume_size=start, headers=build_hf_headers(), expected_size=file.size)
                os.fsync(content.fileno())
            if (found := file_sha256(partial)) != blob.name:
                partial.unlink()
                raise InputError(
                    f"models.{name}: what came of {file.path} has the SHA-256 {found}, but the hub's is {blob.name}; "
                    "it was deleted, run again"
                )
            os.replace(partial, blob)


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.partial")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _check_space(name: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"models.{name}: {needed / 1e9:.1f} GB are missing, but {folder} has {free / 1e9:.1f} GB left; make room, "
            "or set HF_HOME to a folder on another disk"
        )
