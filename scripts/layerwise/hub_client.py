"""What downloads from the Hugging Face hub have in common: they are resumed and checked, and no secret is logged.

Addresses, cache and token come from the standard environment (``HF_ENDPOINT``, ``HF_HOME``, ``HF_HUB_CACHE``,
``HF_TOKEN``, ``HF_HUB_OFFLINE``). Only rules that run beside the workflow itself download; jobs are offline.
"""

import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import HfApi, constants, get_cached_repo_tree, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import (
    WeakFileLock,
    build_hf_headers,
    disable_progress_bars,
    enable_progress_bars,
    httpx,
)
from tqdm import tqdm

from layerwise.checksums import file_sha256
from layerwise.errors import InputError

log = logging.getLogger(__name__)
# It logs every address, and addresses of a mirror or a storage server may be signed, which makes them secrets.
logging.getLogger("httpx2").setLevel(logging.WARNING)

# What the hub, or the way to it, may answer in place of a file.
FAILURES = (HfHubHTTPError, LocalEntryNotFoundError, httpx.HTTPError, OSError, ValueError)
# Those where nothing answers at the hub's address.
UNREACHABLE = (httpx.ConnectError, httpx.TimeoutException, httpx.ProxyError, httpx.UnsupportedProtocol)
KEPT = "What was downloaded is kept; the same command goes on."
CARD = "README.md"
# How many missing files a message names, and how many small files are downloaded at a time.
NAMED, AT_A_TIME = 3, 8
SHA256 = re.compile(r"[0-9a-f]{64}")
# An address; its user and password, and what follows its path, may be secret.
ADDRESS = re.compile(r"(https?://)(?:[^\s/@'\"]*@)?([^\s?'\"]*)(\?[^\s'\")]*)?")


class Repository(NamedTuple):
    """A repository on the hub.

    Attributes:
        key: of the config that names it, for messages.
        source: its id.
        kind: ``model`` or ``dataset``.
    """

    key: str
    source: str
    kind: str = "model"

    @property
    def cache(self) -> Path:
        """Its folder in the hub's cache."""
        return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=self.source, repo_type=self.kind)

    @property
    def page(self) -> str:
        """Its page on the hub."""
        return f"https://huggingface.co/{'datasets/' if self.kind == 'dataset' else ''}{self.source}"


class LargeFile(NamedTuple):
    """A file that the hub keeps by its checksum."""

    path: str
    size: int
    sha256: str


def in_words(error: Exception, repository: Repository) -> str:
    """What a failed request says, without secrets, and what to do about it."""
    # The client then speaks of a network that may be down, whatever the reason is.
    hidden = isinstance(error, LocalEntryNotFoundError) and error.__cause__ is not None
    reason = error.__cause__ if hidden else error
    said = without_secrets(reason)
    if isinstance(reason, UNREACHABLE):
        return (
            f"{said.rstrip('.')}. Nothing answers at {without_secrets(constants.ENDPOINT)}: the likely cause is the "
            "network, a proxy, or a wrong HF_ENDPOINT"
        )
    if isinstance(error, GatedRepoError):
        return (
            f"{said}\nIt is gated: accept its terms on {repository.page}, and set HF_TOKEN to a token of that account."
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{said}\nCheck its name on {repository.page}; if it is private, set HF_TOKEN to a token that may read it."
        )
    return said


def without_secrets(said: object) -> str:
    """A text whose addresses have neither passwords nor signatures."""
    return ADDRESS.sub(lambda found: f"{found[1]}{found[2]}{'?...' if found[3] else ''}", str(said))


class _WithoutSecrets(logging.Filter):
    """Takes secrets out of what the hub's client logs."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = without_secrets(record.getMessage()), ()
        return True


for _handler in logging.getLogger("huggingface_hub").handlers:
    _handler.addFilter(_WithoutSecrets())


@lru_cache(maxsize=2)
def ask_for_files(repository: Repository, revision: str | None) -> tuple[str, list[RepoFile]]:
    """Ask the hub for the commit of a revision, and for its files. Once, because there may be 100,000 of them.

    Raises:
        one of :data:`FAILURES`.
    """
    api = HfApi()
    # Also for a pinned commit: without a network this fails at once, the list of files only after half a minute.
    commit = api.repo_info(repository.source, repo_type=repository.kind, revision=revision).sha
    if commit is None:
        raise ValueError("the hub names no commit")
    tree = api.list_repo_tree(repository.source, recursive=True, revision=commit, repo_type=repository.kind)
    return commit, [file for file in tree if isinstance(file, RepoFile)]


def ask_for_commit(repository: Repository, branch: str) -> str | None:
    """The present commit of a branch, such as ``refs/convert/parquet``; None where there is none, or none is told."""
    try:
        return HfApi().repo_info(repository.source, repo_type=repository.kind, revision=branch).sha
    except FAILURES as error:
        log.info("%s has no branch %s that can be asked for (%s)", repository.source, branch, without_secrets(error))
        return None


def list_files(repository: Repository, commit: str) -> dict[str, str]:
    """The files of a commit, with the ids that git gives them: from the cache if it has the list, else from the hub.

    Raises:
        InputError: when the hub cannot be asked, or has no such commit.
    """
    try:
        listed = get_cached_repo_tree(repository.source, repo_type=repository.kind, revision=commit)
    except CachedRepoTreeNotFoundError:
        try:
            listed = ask_for_files(repository, commit)[1]
            # With it the client keeps the list, for runs without a network.
            snapshot_download(repository.source, repo_type=repository.kind, revision=commit, allow_patterns=[CARD])
        except FAILURES as error:
            raise InputError(
                f"{repository.key}: cannot list {repository.source} (revision {commit}): {in_words(error, repository)}"
            ) from error
    return {file.path: file.blob_id for file in sorted(listed, key=lambda file: file.path)}


def fetch(repository: Repository, commit: str, files: dict[str, str]) -> Path:
    """Download the missing ones of some files of a commit. Finished files are kept, and partial ones are resumed.

    Args:
        repository: where they are.
        commit: of the repository.
        files: their paths, with the ids that git gives them.

    Returns:
        The commit's folder in the hub's cache.

    Raises:
        InputError: when a file cannot be downloaded, or has another checksum than the hub says.
    """
    folder, shown = repository.cache / "snapshots" / commit, f"{repository.source} (revision {commit})"
    if missing := [path for path in files if not (folder / path).is_file()]:
        try:
            listed = ask_for_files(repository, commit)[1]
            # Of smaller files the client reads nothing that could be kept.
            least = constants.DOWNLOAD_CHUNK_SIZE
            download_large_files(repository, commit, large_files(listed, missing), least)
            _fetch_each(repository, commit, missing)
        except InputError:
            raise
        except FAILURES as error:
            raise InputError(
                f"{repository.key}: cannot download {shown}: {in_words(error, repository)}\n"
                f"Missing: {few(missing)}. {KEPT}"
            ) from error
    for path, git_id in files.items():
        blob = (folder / path).resolve()
        if not (damage := _damage(blob, git_id)):
            continue
        if path in missing:
            blob.unlink()
            raise InputError(f"{repository.key}: what came of {path} {damage}; it was deleted, run again")
        raise InputError(f"{repository.key}: {path} {damage}; delete {blob} and run again")
    return folder


def few(paths: Sequence[str]) -> str:
    """The first few paths, for a message."""
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return f"{', '.join(paths[:NAMED])}{more}"


def large_files(listed: Iterable[RepoFile], paths: Iterable[str]) -> list[LargeFile]:
    """Those of some paths that the hub keeps by their checksums."""
    wanted = set(paths)
    return [LargeFile(file.path, file.size, file.lfs.sha256) for file in listed if file.lfs and file.path in wanted]


def check_large_files(key: str, folder: Path, paths: Iterable[str]) -> None:
    """Refuse a damaged cache: it names large files by their checksum but checks only their size.

    Raises:
        InputError: naming the file to delete.
    """
    for path in paths:
        blob = (folder / path).resolve()
        if SHA256.fullmatch(blob.name) and (damage := _damage(blob)):
            raise InputError(f"{key}: {Path(path).name} {damage}; delete {blob} and run again")


def download_large_files(repository: Repository, commit: str, files: Sequence[LargeFile], least: int = 0) -> None:
    """Download large files into the hub's cache, where its client then finds them, after a look at the free space.

    The client itself would discard a partial file when its process ends.

    Args:
        repository: where they are.
        commit: of the repository.
        files: that are wanted.
        least: smaller ones, in bytes, are left to the client.

    Raises:
        InputError: when the disk is too small, or a file has another checksum than the hub says.
    """
    blobs, locks = repository.cache / "blobs", Path(constants.HF_HUB_CACHE) / ".locks" / repository.cache.name
    missing = [file for file in files if not (blobs / file.sha256).exists()]
    for folder in (blobs, locks):
        folder.mkdir(parents=True, exist_ok=True)
    _check_space(repository.key, blobs, sum(file.size - _size(_partial(blobs / file.sha256)) for file in missing))
    for file in missing:
        # The hub sends still larger files by another protocol.
        if file.size < least or file.size > constants.MAX_HTTP_DOWNLOAD_SIZE:
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
                address = hf_hub_url(repository.source, file.path, repo_type=repository.kind, revision=commit)
                http_get(address, content, resume_size=start, headers=build_hf_headers(), expected_size=file.size)
                os.fsync(content.fileno())
            if (found := file_sha256(partial)) != blob.name:
                partial.unlink()
                raise InputError(
                    f"{repository.key}: what came of {file.path} has the SHA-256 {found}, but the hub's is "
                    f"{blob.name}; it was deleted, run again"
                )
            os.replace(partial, blob)


def _fetch_each(repository: Repository, commit: str, paths: Sequence[str]) -> None:
    """Let the client put files into its cache, several at a time; those that are there already take no time."""

    def fetch_one(path: str) -> None:
        hf_hub_download(repository.source, path, repo_type=repository.kind, revision=commit)

    # One bar for all, and not one for each of thousands of pictures.
    disable_progress_bars("huggingface_hub.http_get")
    try:
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            done = pool.map(fetch_one, paths)
            for _ in tqdm(done, desc=repository.source, total=len(paths), unit="file", mininterval=5):
                pass
    finally:
        enable_progress_bars("huggingface_hub.http_get")


def _damage(blob: Path, git_id: str = "") -> str:
    """What is wrong with a file of the cache; empty if nothing is."""
    if SHA256.fullmatch(blob.name):
        found = file_sha256(blob)
        return "" if found == blob.name else f"has the SHA-256 {found}, but the hub's is {blob.name}"
    found = _git_id(blob)
    return "" if found == git_id else f"has the git id {found}, but the hub's is {git_id}"


def _git_id(file: Path) -> str:
    content = file.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _partial(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.partial")


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


def _check_space(key: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{key}: {needed / 1e9:.1f} GB are missing, but {folder} has {free / 1e9:.1f} GB left; make room, "
            "or set HF_HOME to a folder on another disk"
        )
