"""A local server that imitates what of the Hugging Face hub a download needs."""

import hashlib
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

from tests.conftest import REPOSITORY

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """One model on a hub.

    Attributes:
        model: its id.
        files: contents by path.
        token: what a download must show; None for a public model.
        left: how many bytes of large files are sent before every connection breaks; None for no end.
        sent: per path the ranges (first byte, byte after the last) that were sent.
        damage: whether the last byte of large files is sent wrong.
        claimed: sizes by path that are told instead of the true ones.
    """

    def __init__(self, model: str, files: Mapping[str, bytes]):
        self.model, self.files = model, dict(files)
        self.token: str | None = None
        self.left: int | None = None
        self.damage = False
        self.claimed: dict[str, int] = {}
        self.sent: dict[str, list[tuple[int, int]]] = {}
        self.address = ""

    def tree(self) -> list[dict]:
        """The hub's list of files; weights are large files, named by their SHA-256."""
        listed = []
        for path, content in self.files.items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
            if _large(path):
                digest = hashlib.sha256(content).hexdigest()
                entry["size"] = self.claimed.get(path, len(content))
                entry["lfs"] = {"oid": digest, "size": entry["size"], "pointerSize": 130}
            listed.append(entry)
        return listed


def _large(path: str) -> bool:
    return Path(path).suffix in (".safetensors", ".bin", ".pt")


@contextmanager
def serve(hub: Hub) -> Iterator[Hub]:
    """Run the server; its address is that of ``HF_ENDPOINT``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def in_process(hub: Hub, folder: Path, arguments: Sequence[Any], **environment: str) -> subprocess.CompletedProcess:
    """Run Python with a cache in ``folder`` and no hub but this one, whatever the tests' own environment says."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    inherited |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(folder / "hf"), "PYTHONPATH": f"{REPOSITORY}/scripts"}
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=inherited | environment, capture_output=True, text=True, check=False)


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args):
            pass

        def do_HEAD(self):
            self._answer(head=True)

        def do_GET(self):
            self._answer(head=False)

        def _answer(self, head: bool) -> None:
            path = self.path.split("?")[0]
            if hub.token and self.headers.get("Authorization") != f"Bearer {hub.token}":
                self._send(401, b'{"error": "Invalid credentials"}', {"X-Error-Code": "GatedRepo"}, head)
            elif path.startswith(f"/api/models/{hub.model}/revision/") or path == f"/api/models/{hub.model}":
                siblings = [{"rfilename": name} for name in hub.files]
                self._json({"id": hub.model, "sha": COMMIT, "siblings": siblings}, head)
            elif path == f"/api/models/{hub.model}/tree/{COMMIT}":
                self._json(hub.tree(), head)
            elif (name := path.removeprefix(f"/{hub.model}/resolve/{COMMIT}/")) in hub.files:
                self._file(name, head)
            else:
                self._send(404, b'{"error": "not found"}', {"X-Error-Code": "EntryNotFound"}, head)

        def _json(self, value, head: bool) -> None:
            self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"}, head)

        def _file(self, name: str, head: bool) -> None:
            content = hub.files[name]
            digest = (hashlib.sha256 if _large(name) else hashlib.sha1)(content).hexdigest()
            headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
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
