"""What a caption is made of. Without Jinja, because the Snakefile asks it whenever it plans."""

import hashlib
import re
from pathlib import Path

INCLUDED = re.compile(r'{% include "([^"]+)"')


def caption_digest(folder: str | Path, name: str) -> str:
    """The digest of the text of a caption, ``NAME.rst`` in a folder, and of all that it includes."""
    digest = hashlib.sha256()
    files, seen = [f"{name}.rst"], set()
    while files:
        file = files.pop()
        if file not in seen:
            seen.add(file)
            text = Path(folder, file).read_text(encoding="utf-8")
            digest.update(text.encode())
            files += INCLUDED.findall(text)
    return digest.hexdigest()[:12]
