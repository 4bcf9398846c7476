"""What tells, when a run is planned, whether source files are still the ones that something was made from.

Cheap, because each plan asks, and never too lenient: where a mark changes though the content does not, the stimuli are
made again and the hidden states are kept (:mod:`layerwise.states.kept`). Nothing here checks a file or complains of it;
the builders do.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any


def written(file: str | Path) -> list[int] | None:
    """Size and time of writing; None for a file that is not there."""
    try:
        found = Path(file).stat()
    except (OSError, ValueError):
        # A name with a null character is no file's.
        return None
    return [found.st_size, found.st_mtime_ns]


def files_mark(files: Iterable[str | Path]) -> list[Any]:
    """A mark of annotation files: too large to read for each plan."""
    return [[Path(file).name, written(file)] for file in files]
