"""Snapshots of models on the Hugging Face hub: pinned to a commit, resumed where a download broke off, checked.

Addresses, cache and token come from the standard environment (``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_CACHE``,
``HF_TOKEN``, ``HF_HUB_OFFLINE``). Only rules that run where the workflow runs come here; jobs are offline.
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
# It logs every address, and those of a mirror or a storage server may be signed: as good as a token.
logging.getLogger("httpx2").setLevel(logging.WARNING)

# No pickles and no code: weights come as safetensors, the rest is text.
TEXT = ["*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken"]
WEIGHTS, CODE = ["*.safetensors"], ["*.py"]
# The same weights once more, in the layout of their makers' own code.
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
    """Download what is missing of a model; files of an earlier try are kept, and a broken one goes on where it ended.

    Args:
        name: the model's name in the config, for messages.
        source: its id on the hub.
        revision: a commit, tag or branch; None for the default branch.
        patterns: which files are wanted.

    Returns:
        The folder in the hub's cache, and the commit.

    Raises:
        InputError: when the files cannot be had, or are not what the hub says they are.
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
        # The cache names large files by their checksum, but looks at no more than their size.
        blob = file.resolve()
        if SHA256.fullmatch(blob.name) and (found := file_sha256(blob)) != blob.name:
            raise InputError(
                f"models.{name}: {file.name} has the SHA-256 {found}, but the hub's is {blob.name}; delete {blob} and "
                "run again"
            )
    # The cache keeps a snapshot under its commit.
    found_commit = folder.name
    if commit is None:
        log.warning(
            "models.%s: %s is commit %s at present; pin it: `revision: %s`", name, shown, found_commit, found_commit
        )
    return folder, found_commit


def _cached(source: str, revision: str, wanted: dict[str, Any]) -> Path | None:
    """The folder of a commit that is known to be whole in the cache, without asking the hub.

    The cache keeps a list of a commit's files once it was downloaded as a whole. Without one (only some files were
    asked for, or an older client did it) nothing says what is missing.
    """
    try:
        get_cached_repo_tree(source, revision=revision)
        return Path(snapshot_download(source, revision=revision, local_files_only=True, **wanted))
    except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError, OSError):
        return None


def _downloaded(name: str, source: str, revision: str | None, wanted: dict[str, Any]) -> Path:
    """The folder of a snapshot, after what is missing has been downloaded; that in the cache if the hub is away."""
    pinned = bool(COMMIT.fullmatch(revision or ""))
    try:
        commit, files = _large_files(source, revision, wanted)
    except (httpx.ConnectError, httpx.TimeoutException, OfflineModeIsEnabled) as error:
        return _kept(name, source, revision, wanted, error)
    except HfHubHTTPError as error:
        # What a branch is at present, only the hub can tell. A commit stays what it is, also without a token.
        if not pinned:
            raise
        return _kept(name, source, revision, wanted, error)
    _download_large_files(name, source, commit, files)
    return Path(snapshot_download(source, revision=revision, **wanted))


def _kept(name: str, source: str, revision: str | None, wanted: dict[str, Any], reason: Exception) -> Path:
    """What the cache holds of a snapshot, when the hub does not answer.

    Raises:
        InputError: naming what is missing of it.
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
    """Files that a snapshot in the cache lacks, as far as its own files tell, without a list of them."""
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
    # Asked for a pinned commit too: without a network this fails at once, the list of files after half a minute.
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

    By itself it throws away what it has of a file when its process ends.
    """
    repository = repo_folder_name(repo_id=source, repo_type="model")
    blobs = Path(constants.HF_HUB_CACHE) / repository / "blobs"
    locks = Path(constants.HF_HUB_CACHE) / ".locks" / repository
    missing = [file for file in files if not (blobs / file.sha256).exists()]
    for folder in (blobs, locks):
        folder.mkdir(parents=True, exist_ok=True)
    _check_space(name, blobs, sum(file.size - _size(_partial(blobs / file.sha256)) for file in missing))
    for file in missing:
        # Greater ones than this the hub sends in another way.
        if file.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
            continue
        blob = blobs / file.sha256
        # The lock is the hub client's own.
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
