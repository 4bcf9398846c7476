"""What a reader of a published folder has: the lines that its card prints, and a Python without this project."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

# All that the card says is needed, and what these import.
NEEDED = ["numpy", "pandas", "pyarrow", "safetensors", "dateutil", "six", "pytz", "tzdata"]


def blocks_of(card: Path) -> list[str]:
    """The Python that a card prints: how to load it, and where states are published how to apply a probe."""
    return re.findall(r"```python\n(.*?)```", card.read_text(), flags=re.DOTALL)


def in_a_bare_python(code: str, folder: Path, packages: Path) -> str:
    """What code prints where no other package is, and nothing of this project.

    Args:
        folder: where it runs.
        packages: a folder to make.
    """
    packages.mkdir()
    for name in NEEDED:
        if (spec := find_spec(name)) is not None and spec.origin is not None:
            found = Path(spec.origin)
            found = found.parent if found.name == "__init__.py" else found
            for part in (found, *found.parent.glob(f"{name}.libs")):
                (packages / part.name).symlink_to(part)
    start = f"import sys; sys.path.append({str(packages)!r})\n"
    command = [sys.executable, "-I", "-S", "-c", start + code]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
