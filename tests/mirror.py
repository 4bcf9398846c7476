"""A mirror on this machine: an HTTP server whose files, and whose failures, a test decides."""

import contextlib
import gzip
import hashlib
import io
import re
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CHUNK = 1 << 14


class Mirror:
    """What is served, by path, and how.

    Attributes:
        files: content by path (``/zips/val2017.zip``).
        shift: so many bytes after the one that was asked for a ranged answer begins.
        lengths: whether ``Content-Length`` is sent.
        ranges: whether ``Range`` is understood; else every answer begins at the first byte.
        headers: sent with every file.
        breaks: for one request after another, after how many bytes of the body the connection ends.
        stalls: for one request after another, after how many bytes the server falls silent until ``go_on`` is set.
        answers: for one request after another, a status to answer instead of a file.
        requests: path and ``Range`` of each request, in order.
    """

    def __init__(self, address: str):
        self.address = address
        self.files: dict[str, bytes] = {}
        self.ranges = True
        self.shift = 0
        self.lengths = True
        self.headers: dict[str, str] = {}
        self.breaks: list[int] = []
        self.stalls: list[int] = []
        self.go_on = threading.Event()
        self.answers: list[int] = []
        self.requests: list[tuple[str, str | None]] = []

    def asked_for(self, path: str) -> list[str | None]:
        """The ``Range`` of each request for ``path``."""
        return [span for asked, span in self.requests if asked == path]


@contextlib.contextmanager
def serving() -> Iterator[Mirror]:
    """A mirror for the time of the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            span = self.headers.get("Range")
            mirror.requests.append((self.path, span))
            content = mirror.files.get(self.path)
            status = mirror.answers.pop(0) if mirror.answers else 200 if content is not None else 404
            if status != 200:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(re.fullmatch(r"bytes=(\d+)-", span).group(1)) if span and mirror.ranges else 0
            start += mirror.shift if start else 0
            if start and start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            if mirror.lengths:
                self.send_header("Content-Length", str(len(content) - start))
            for name, value in mirror.headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.end_headers()
            end = start + mirror.breaks.pop(0) if mirror.breaks else len(content)
            stall = start + mirror.stalls.pop(0) if mirror.stalls else len(content)
            for position in range(start, min(end, len(content)), CHUNK):
                if position >= stall:
                    mirror.go_on.wait(60)
                self.wfile.write(content[position : min(position + CHUNK, end)])
            self.close_connection = True

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # of a client that was killed
                super().handle()

        def log_message(self, *_) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror = Mirror(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def zipped(members: dict[str, bytes | Path], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive as bytes; its members in the order given."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else content.read_bytes())
    return packed.getvalue()


def tarred(members: dict[str, bytes | Path]) -> bytes:
    """A tar.gz archive as bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            content = content if isinstance(content, bytes) else content.read_bytes()
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def coco_archives(folder: Path) -> dict[str, bytes]:
    """A folder in COCO's layout as COCO serves it: by the names in ``config/sources.yaml``."""
    archives = {
        f"{part}.zip": zipped({f"{part}/{file.name}": file for file in sorted((folder / part).iterdir())}, 0)
        for part in ("train2017", "val2017")
    }
    annotations = {f"annotations/{file.name}": file for file in sorted((folder / "annotations").iterdir())}
    return archives | {"annotations_trainval2017.zip": zipped(annotations)}


def snli_ve_archives(folder: Path) -> dict[str, bytes]:
    """A folder with SNLI-VE's files and Flickr30k's pictures, as AllenNLP serves them."""
    images = sorted((folder / "flickr30k_images").iterdir())
    files = {f"{file.name}.gz": gzip.compress(file.read_bytes()) for file in sorted(folder.glob("*.jsonl"))}
    return files | {"flickr30k_images.tar.gz": tarred({f"flickr30k_images/{file.name}": file for file in images})}


def expected(content: bytes) -> dict[str, int | str]:
    """The entries of a file in ``sources``: its size and checksum."""
    return {"size": len(content), "md5": hashlib.md5(content).hexdigest()}
