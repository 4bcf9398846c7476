"""Checksums of files."""

import hashlib
from pathlib import Path


def file_sha256(file: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with open(file, "rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
