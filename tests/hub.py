"""A local server that imitates what of the Hugging Face hub a download needs, for models and data sets.

A test writes a repository, and serves it together with others at one address, that of ``HF_ENDPOINT``::

    rows = parquet({"image": pictures, "question": texts, "answer": [0, 1]}, classes={"answer": ["no", "yes"]})
    pope = Hub("lab/pope", {"README.md": card(license="mit"), "data/test-00000-of-00001.parquet": rows}, "dataset")
    with serve(pope, other):               # or, for the time of a test, the fixture `serve_hub`: serve_hub(pope, other)
        in_process(pope, tmp_path, [...])  # Python, with a cache of its own in tmp_path/hf
        project.snakemake("stimuli", env=environment(pope, tmp_path))

The config's entry is ``{format: hub, repository: lab/pope, revision: COMMIT}``. The layout is the hub's own:
``/api/models`` and ``/api/datasets`` with ``/revision``, ``/tree`` and ``/refs``; ``/resolve`` with ranges, git ids and
SHA-256, and redirects to a storage for large files (which are large is told by their names). Attributes of a repository
decide what fails: a connection that breaks after so many bytes (``left``), wrong bytes (``damage``), a token that must
be shown (``token``), for the files alone (``gated``), addresses with a signature (``signature``).
"""

import hashlib
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import constants

from layerwise.hub_client import ask_for_files
from tests.conftest import REPOSITORY

COMMIT = "0123456789abcdef0123456789abcdef01234567"
# What the hub keeps by its SHA-256.
LARGE = {".safetensors", ".bin", ".pt", ".parquet", ".png", ".jpg", ".gz", ".zip"}


class Hub:
    """One repository on a hub.

    Attributes:
        name: its id.
        kind: ``model`` or ``dataset``.
        commits: contents by path, by commit; :attr:`files` are those of :data:`COMMIT`.
        branches: commits by branch; further ones may be named ``refs/convert/parquet`` and the like.
        token: what a request must show; None for a public repository.
        gated: whether the token is asked for files alone, but for the card.
        signature: what the address of a large file in the storage ends in; None to send it without a redirect.
        expired: whether the storage takes signatures no longer.
        left: how many bytes of large files are sent before every connection breaks; None for no end.
        breaks: how many connections then break before there is no end again; None for all.
        sent: per path the ranges (first byte, byte after the last) that were sent.
        asked: the paths of all requests, in order.
        damage: whether the last byte of large files is sent wrong.
        claimed: sizes by path that are told instead of the true ones.
    """

    def __init__(self, name: str, files: Mapping[str, bytes], kind: str = "model"):
        self.name, self.kind = name, kind
        self.commits = {COMMIT: dict(files)}
        self.branches = {"main": COMMIT}
        self.token: str | None = None
        self.gated = False
        self.signature: str | None = None
        self.expired = False
        self.left: int | None = None
        self.breaks: int | None = None
        self.damage = False
        self.claimed: dict[str, int] = {}
        self.sent: dict[str, list[tuple[int, int]]] = {}
        self.asked: list[str] = []
        self.address = ""

    @property
    def files(self) -> dict[str, bytes]:
        """Contents by path."""
        return self.commits[COMMIT]

    @files.setter
    def files(self, files: Mapping[str, bytes]) -> None:
        self.commits[COMMIT] = dict(files)

    def tree(self, commit: str) -> list[dict]:
        """The hub's list of files; weights are large files, named by their SHA-256."""
        listed = []
        for path, content in self.commits[commit].items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": _git_id(content)}
            if _large(path):
                digest = hashlib.sha256(content).hexdigest()
                entry["size"] = self.claimed.get(path, len(content))
                entry["lfs"] = {"oid": digest, "size": entry["size"], "pointerSize": 130}
            listed.append(entry)
        return listed


def card(body: str = "", **metadata: Any) -> bytes:
    """A README.md with metadata."""
    return f"---\n{yaml.safe_dump(metadata)}---\n{body}".encode()


def parquet(columns: Mapping[str, Sequence[Any]], classes: Mapping[str, Sequence[str]] | None = None) -> bytes:
    """A table as the ``datasets`` library writes it.

    Args:
        columns: by name; pictures are ``{"bytes": ..., "path": ...}``.
        classes: names of classes, by the columns whose whole numbers stand for them.
    """
    classes = classes or {}
    table = pa.table({name: pa.array(list(values)) for name, values in columns.items()})
    features: dict[str, Any] = {}
    for column in table.schema:
        if column.name in classes:
            features[column.name] = {"names": list(classes[column.name]), "_type": "ClassLabel"}
        elif pa.types.is_struct(column.type):
            features[column.name] = {"_type": "Image"}
        else:
            features[column.name] = {"dtype": str(column.type), "_type": "Value"}
    info = json.dumps({"info": {"features": features}})
    written = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({"huggingface": info}), written)
    return written.getvalue()


@contextmanager
def serve(*hubs: Hub) -> Iterator[Hub]:
    """Run a server of some repositories; its address is that of ``HF_ENDPOINT``. Gives the first of them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hubs))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    for hub in hubs:
        hub.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hubs[0]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(hub: Hub, folder: Path) -> dict[str, str]:
    """This process's environment with a cache in ``folder`` and no hub but this one."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    return inherited | {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "hf")}


@contextmanager
def in_this_process(hub: Hub, folder: Path, token: str = "") -> Iterator[None]:
    """Let the hub's client in this process use this hub, a cache in ``folder``, and a token."""
    ask_for_files.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", hub.address)
        template = hub.address + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr(constants, "HF_HUB_CACHE", str(folder / "hf/hub"))
        patch.setattr(constants, "HF_TOKEN_PATH", str(folder / "hf/token"))
        patch.setenv("HF_TOKEN", token)
        yield


def in_process(hub: Hub, folder: Path, arguments: Sequence[Any], **further: str) -> subprocess.CompletedProcess:
    """Run Python with a cache in ``folder`` and no hub but this one, whatever the tests' own environment says."""
    env = environment(hub, folder) | {"PYTHONPATH": f"{REPOSITORY}/scripts"} | further
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def _large(path: str) -> bool:
    return Path(path).suffix in LARGE


def _git_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _handler(hubs: Sequence[Hub]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args):
            pass

        def do_HEAD(self):
            self._answer(head=True)

        def do_GET(self):
            self._answer(head=False)

        def _answer(self, head: bool) -> None:
            path = urlsplit(self.path).path
            for hub in hubs:
                folder = f"{hub.kind}s/{hub.name}"
                for beginning, answer in (
                    (f"/api/{folder}", self._api),
                    (f"/{folder if hub.kind == 'dataset' else hub.name}/resolve/", self._resolve),
                    (f"/storage/{folder}/", self._storage),
                ):
                    if path == beginning or path.startswith(f"{beginning.rstrip('/')}/"):
                        hub.asked.append(path)
                        answer(hub, path.removeprefix(beginning), head)
                        return
            self._send(401, b'{"error": "Invalid username or password."}', {"X-Error-Code": "RepoNotFound"}, head)

        def _lets(self, hub: Hub, head: bool) -> bool:
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._send(401, b'{"error": "Invalid credentials"}', {"X-Error-Code": "GatedRepo"}, head)
                return False
            return True

        def _api(self, hub: Hub, path: str, head: bool) -> None:
            what, _, rest = path.removeprefix("/").partition("/")
            revision = unquote(rest) or "main"
            commit = hub.branches.get(revision, revision)
            if not (hub.gated or self._lets(hub, head)):
                return
            if what == "refs":
                named = [{"name": name, "ref": name, "targetCommit": of} for name, of in hub.branches.items()]
                self._json({"branches": [], "tags": [], "converts": named}, head)
            elif commit not in hub.commits:
                self._send(404, b'{"error": "Invalid rev id"}', {"X-Error-Code": "RevisionNotFound"}, head)
            elif what == "tree":
                self._json(hub.tree(commit), head)
            else:
                siblings = [{"rfilename": name} for name in hub.commits[commit]]
                self._json({"id": hub.name, "sha": commit, "siblings": siblings}, head)

        def _resolve(self, hub: Hub, path: str, head: bool) -> None:
            revision, _, name = unquote(path).partition("/")
            commit = hub.branches.get(revision, revision)
            if not (hub.gated and name == "README.md") and not self._lets(hub, head):
                return
            if name not in hub.commits.get(commit, {}):
                self._send(404, b'{"error": "not found"}', {"X-Error-Code": "EntryNotFound"}, head)
            elif hub.signature is None or not _large(name):
                self._file(hub, commit, name, head)
            else:
                content = hub.commits[commit][name]
                headers = {"X-Repo-Commit": commit, "X-Linked-Size": str(len(content))}
                headers["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
                place = urlsplit(self.path).path.split("/resolve/")[1]
                headers["Location"] = f"{hub.address}/storage/{hub.kind}s/{hub.name}/{place}?Signature={hub.signature}"
                self._send(302, b"", headers, head)

        def _storage(self, hub: Hub, path: str, head: bool) -> None:
            commit, _, name = unquote(path).partition("/")
            if urlsplit(self.path).query == f"Signature={hub.signature}" and not hub.expired:
                self._file(hub, commit, name, head)
            else:
                self._send(403, b"expired", {}, head)

        def _json(self, value, head: bool) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, head)

        def _file(self, hub: Hub, commit: str, name: str, head: bool) -> None:
            content = hub.commits[commit][name]
            digest = hashlib.sha256(content).hexdigest() if _large(name) else _git_id(content)
            headers = {"X-Repo-Commit": commit, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
            if hub.damage and _large(name):
                content = content[:-1] + bytes([content[-1] ^ 1])
            first = 0
            if wanted := self.headers.get("Range"):
                first = int(wanted.removeprefix("bytes=").split("-")[0])
                headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            stop = len(content)
            if hub.left is not None and _large(name) and not head:
                stop = min(stop, first + hub.left)
                hub.left -= stop - first
                if stop < len(content) and hub.breaks is not None:
                    hub.breaks -= 1
                    hub.left = hub.left if hub.breaks else None
            if not head:
                hub.sent.setdefault(name, []).append((first, stop))
            self._send(206 if wanted else 200, content[first:], headers, head, stop - first)

        def _send(self, status: int, body: bytes, headers: dict, head: bool, most: int | None = None) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if head:
                return
            self.wfile.write(body[:most])
            if most is not None and most < len(body):
                self.wfile.flush()
                self.close_connection = True

    return Handler
