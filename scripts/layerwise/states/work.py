"""Work in progress on one cell: finished parts that survive a killed job. No torch.

The folder is named after the cell's fingerprint: same model, stimuli, prompt and code. So only a job on the same cell
picks up what a stopped one left. ``manifest.json`` in it lists each part's rows and checksum. Once all parts are there,
``finished.json`` holds what else is needed to put them together without the model.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from safetensors.numpy import load_file, save_file

from layerwise.checksums import file_sha256
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file
from layerwise.jobs.kept import KeptFiles
from layerwise.jobs.locks import one_at_a_time

log = logging.getLogger(__name__)


class WorkFolder:
    """Parts of consecutive rows. Each is written whole or not at all, and listed in a manifest."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._manifest_file = folder / "manifest.json"
        self._finished_file = folder / "finished.json"
        self._manifest = self._read_manifest()

    def _read_manifest(self) -> dict[str, dict[str, Any]]:
        try:
            return json.loads(self._manifest_file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            log.warning("%s is damaged (%s); its parts will be made again", self._manifest_file, error)
            return {}

    def _file(self, start: int, stop: int) -> Path:
        return self.folder / f"rows-{start:09d}-{stop:09d}.safetensors"

    def save(self, start: int, stop: int, values: Mapping[str, ArrayLike]) -> None:
        """Keep what was computed for rows ``start`` to ``stop``: arrays by name, one entry per row.

        For states the names are positions, and the shape is (rows, layers, width).
        """
        part = self._file(start, stop)
        with finished_file(part) as file:
            save_file({name: np.ascontiguousarray(array) for name, array in values.items()}, file)
            # List it before the file gets its name. A crash may leave an entry without a file, never a file without an
            # entry.
            self._manifest[part.name] = {"rows": stop - start, "sha256": file_sha256(file)}
            with finished_file(self._manifest_file) as manifest:
                manifest.write_text(json.dumps(self._manifest, indent=1))

    def load(self, start: int, stop: int, names: Sequence[str]) -> dict[str, np.ndarray] | None:
        """A finished part as it was saved; None when it is missing, damaged or holds other names."""
        file = self._file(start, stop)
        listed = self._manifest.get(file.name)
        if listed is None:
            return None
        if not file.exists():
            log.warning("%s is missing and will be made again", file)
            return None
        if file_sha256(file) != listed["sha256"]:
            log.warning("%s is damaged (its checksum is not that of the manifest) and will be made again", file)
            return None
        values = load_file(file)
        if set(values) != set(names) or any(len(array) != listed["rows"] for array in values.values()):
            log.warning("%s does not hold rows %d to %d and will be made again", file, start, stop)
            return None
        return values

    def widths(self, part: tuple[int, int], positions: Sequence[str]) -> dict[str, int]:
        """The width of the states at each position, read from a finished part."""
        return {position: values.shape[2] for position, values in self._finished(*part, positions).items()}

    def _finished(self, start: int, stop: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        values = self.load(start, stop, names)
        if values is None:
            raise InputError(
                f"{self._file(start, stop)}: this part was lost or damaged while others were made; run the same "
                "command again, which makes only this part again"
            )
        return values

    def assemble(
        self, parts: Sequence[tuple[int, int]], names: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """First row and values of each finished part, in order.

        Raises:
            InputError: on a part that was lost or damaged since it was made.
        """
        for start, stop in parts:
            yield start, self._finished(start, stop, names)

    def finish(self, description: dict[str, Any]) -> None:
        """Record that all parts are there, and what is known of the whole."""
        with finished_file(self._finished_file) as file:
            file.write_text(json.dumps(description))

    def finished(self) -> dict[str, Any] | None:
        """What :meth:`finish` was given; None as long as parts are missing."""
        try:
            return json.loads(self._finished_file.read_text())
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        """Delete the folder, once its content is in the files that were asked for."""
        shutil.rmtree(self.folder)


@contextmanager
def work_folder(root: str | Path, fingerprint: str, wait: bool = True) -> Iterator[WorkFolder]:
    """The work folder of a cell, locked. Of two jobs on one cell the second waits, then finds the first one's parts.

    Raises:
        Taken: where another job works on the cell and ``wait`` is False.
    """
    folder = folder_of(root, fingerprint)
    # The lock lies beside the folder. Removing the folder must not remove a lock that another job waits for.
    with one_at_a_time(folder.with_suffix(".lock"), f"on this cell ({folder})", wait):
        folder.mkdir(parents=True, exist_ok=True)
        yield WorkFolder(folder)


def folder_of(root: str | Path, fingerprint: str) -> Path:
    """Where the work folder of a cell is, or would be."""
    return Path(root) / fingerprint[:32]


def make_once(
    root: Path,
    fingerprint: str,
    files: KeptFiles,
    is_finished: Callable[[Path], bool],
    make: Callable[[WorkFolder], None],
) -> None:
    """Make a cell's files in its locked work folder, unless another job did so while this one waited for the lock.

    Args:
        root: folder for work in progress.
        fingerprint: names the cell's work folder.
        files: the files to make.
        is_finished: whether a file is the last of them, finished, and of this cell.
        make: writes all of them.
    """
    with work_folder(root, fingerprint) as work:
        last = files.files[-1]
        if is_finished(last) or files.take(is_finished):
            log.info("%s has been finished in the meantime", last)
        else:
            make(work)
            files.keep()
        work.remove()
