"""Snapshots of models on the Hugging Face hub: pinned to a commit, resumed where a download broke off, checked.

Addresses, cache and token come from the standard environment (``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_CACHE``,
``HF_TOKEN``, ``HF_HUB_OFFLINE``). Only rules that run where the workflow runs come here; jobs are offline.
"""

import logging
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, constants, hf_hub_url, snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled
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
COMMIT, SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")


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
    pinned = bool(COMMIT.fullmatch(revision or ""))
    shown = f"{source} (revision {revision or 'main'})"
    wanted = {"allow_patterns": patterns, "ignore_patterns": TWICE}
    try:
        folder = (pinned and _cached(source, revision, wanted)) or _downloaded(name, source, revision, wanted)
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
    commit = folder.name
    if not pinned:
        log.warning("models.%s: %s is commit %s at present; pin it: `revision: %s`", name, shown, commit, commit)
    return folder, commit


def _cached(source: str, revision: str, wanted: dict[str, Sequence[str]]) -> Path | None:
    """The folder of a commit that is whole in the cache, without asking the hub."""
    try:
        return Path(snapshot_download(source, revision=revision, local_files_only=True, **wanted))
    except (LocalEntryNotFoundError, OSError):
        return None


def _downloaded(name: str, source: str, revision: str | None, wanted: dict[str, Sequence[str]]) -> Path:
    """The folder of a snapshot, after what is missing has been downloaded."""
    try:
        _download_large_files(name, source, revision, wanted)
    except (httpx.ConnectError, httpx.TimeoutException, OfflineModeIsEnabled) as error:
        log.warning("the hub cannot be reached (%s); looking for %s in the cache", error, source)
    return Path(snapshot_download(source, revision=revision, **wanted))


def _download_large_files(name: str, source: str, revision: str | None, wanted: dict[str, Sequence[str]]) -> None:
    """Download large files into the hub's cache, where its client then finds them.

    By itself it throws away what it has of a file when its process ends.
    """
    api = HfApi()
    commit = revision if COMMIT.fullmatch(revision or "") else api.model_info(source, revision=revision).sha
    tree = api.list_repo_tree(source, recursive=True, revision=commit)
    files = [file for file in tree if isinstance(file, RepoFile) and file.lfs]
    repository = repo_folder_name(repo_id=source, repo_type="model")
    blobs = Path(constants.HF_HUB_CACHE) / repository / "blobs"
    locks = Path(constants.HF_HUB_CACHE) / ".locks" / repository
    missing = [
        file
        for file in filter_repo_objects(files, key=lambda file: file.path, **wanted)
        if not (blobs / file.lfs.sha256).exists()
    ]
    for folder in (blobs, locks):
        folder.mkdir(parents=True, exist_ok=True)
    _check_space(name, blobs, sum(file.size - _size(_partial(blobs / file.lfs.sha256)) for file in missing))
    for file in missing:
        # Greater ones than this the hub sends in another way.
        if file.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
            continue
        blob = blobs / file.lfs.sha256
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
