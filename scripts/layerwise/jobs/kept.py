"""A second name for finished files, derived from their content, so that no job repeats finished work.

Snakemake plans from paths, times and params, and deletes a job's files before it runs. If a model or a stimulus set was
described again, only the job can see that it is still the same. So each finished file has a hard link in ``kept/``,
which takes no room on disk. A job that finds its content there links it back within a second. The same works after a
model, stimulus set or prompt was renamed.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from layerwise.checksums import file_sha256
from layerwise.jobs.command import finished_file

log = logging.getLogger(__name__)

CHECKSUMS = ".checksums.json"


class KeptFiles:
    """The files of one cell, by content.

    Args:
        folder: the folder of all kept files; None to keep none.
        cell: everything that decides what the files hold.
        files: their paths in the study; the one that is written last comes last.
    """

    def __init__(self, folder: Path | None, cell: dict[str, Any], files: Sequence[Path]):
        key = hashlib.sha256(json.dumps(cell, sort_keys=True).encode()).hexdigest()[:32]
        self.files = list(files)
        self.kept = [folder / f"{key}.{i}{file.suffix}" for i, file in enumerate(files)] if folder else []
        self.checksums = folder / f"{key}{CHECKSUMS}" if folder else None

    def are_there(self) -> bool:
        """Whether there are kept files to take; they may be damaged."""
        return self.checksums is not None and all(file.exists() for file in (*self.kept, self.checksums))

    def take(self, is_whole: Callable[[Path], bool]) -> bool:
        """Put the kept files where the study wants them; False if there are none, or they are damaged.

        Args:
            is_whole: tells whether the last of the files is finished and belongs to this cell.
        """
        if self.checksums is None or not self.are_there() or not is_whole(self.kept[-1]):
            return False
        # A file that a user deleted because it was damaged must not come back.
        if json.loads(self.checksums.read_text()) != list(map(file_sha256, self.kept)):
            log.warning("%s is damaged; its content will be made again", self.kept[-1])
            self.checksums.unlink()
            return False
        for kept, file in zip(self.kept, self.files, strict=True):
            if kept.stat().st_nlink == 1:
                _link(kept, file)
                continue
            # Copy: another cell uses this file too. Snakemake touches a job's outputs, and must not touch that cell's.
            with finished_file(file) as partial:
                shutil.copyfile(kept, partial)
            _link(file, kept)
        log.info("%s: its content exists already; nothing was run", self.files[-1])
        return True

    def keep(self) -> None:
        """Give the finished files their second name, or warn that this disk allows none."""
        if self.checksums is None:
            return
        for kept, file in zip(self.kept, self.files, strict=True):
            try:
                _link(file, kept)
            except OSError as error:
                log.warning("%s: this disk takes no hard links (%s); it will not be found by content", file, error)
                return
        with finished_file(self.checksums) as partial:
            partial.write_text(json.dumps(list(map(file_sha256, self.kept))))


def _link(old: Path, new: Path) -> None:
    """Give a file another name, replacing any file that had it."""
    new.parent.mkdir(parents=True, exist_ok=True)
    partial = new.with_name(f".{new.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    os.link(old, partial)
    os.replace(partial, new)
    # If both names already belong to one file, os.replace does nothing, and the first name stays.
    partial.unlink(missing_ok=True)


def drop_unused(folder: Path) -> None:
    """Delete kept files that no cell uses any more. Call it after a run that succeeded, when no file is being moved."""
    if not folder.is_dir():
        return
    for file in folder.iterdir():
        if not file.name.endswith(CHECKSUMS) and file.stat().st_nlink == 1:
            file.unlink(missing_ok=True)
    used = {file.name.split(".")[0] for file in folder.iterdir() if not file.name.endswith(CHECKSUMS)}
    for file in folder.iterdir():
        if file.name.split(".")[0] not in used:
            file.unlink(missing_ok=True)
