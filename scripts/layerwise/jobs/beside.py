"""Which jobs of a run read further positions of the same inputs, so that one of them reads for all.

When a run starts, it writes a file for each of its extractions that has such jobs beside it, for jobs on any machine.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from layerwise.jobs.options import Options

log = logging.getLogger(__name__)

FOLDER = "beside"


def write_beside(work: Path, jobs: Mapping[str, Sequence[dict[str, Any]]]) -> None:
    """Write down the jobs beside each extraction, and forget those of earlier runs.

    Args:
        work: folder for work in progress.
        jobs: by states file of an extraction the options of the others, as JSON has them.
    """
    try:
        forget_beside(work)
        for out, others in jobs.items():
            file = _file(work, out)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(others))
    except OSError as error:
        log.warning(
            "%s: %s; positions that are not listed there take a pass of their own", work / FOLDER, error.strerror
        )


def forget_beside(work: Path) -> None:
    """Delete what the last run wrote down."""
    for file in (work / FOLDER).glob("*.json"):
        file.unlink(missing_ok=True)


def beside(work: Path, out: Path) -> list[Options]:
    """The jobs that read further positions of the inputs of an extraction; none outside of a run."""
    try:
        listed = json.loads(_file(work, out).read_text())
    except (OSError, ValueError):
        return []
    return [Options.of(job, work) for job in listed]


def _file(work: Path, out: str | Path) -> Path:
    return work / FOLDER / f"{hashlib.sha256(str(out).encode()).hexdigest()[:32]}.json"
