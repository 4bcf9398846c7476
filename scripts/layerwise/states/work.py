"""Work in progress on one cell: finished shards that survive a killed job. No torch.

The folder is named after the cell's fingerprint, so that what a stopped job left is taken up by the same cell - same
model, stimuli, prompt, code - and by no other. ``manifest.json`` in it lists each shard's rows and checksum. When all
shards are there, ``finished.json`` says what else has to be known to put them together without the model.
"""

import json
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from safetensors.numpy import load_file, save_file

from layerwise.checksums import file_sha256
from layerwise.errors import InputError
from layerwise.jobs.command import finished_file
from layerwise.jobs.locks import one_at_a_time

log = logging.getLogger(__name__)


class WorkFolder:
    """Shards of consecutive rows, each written whole or not at all, and listed in a manifest."""

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
            log.warning("%s is damaged (%s); its shards will be made again", self._manifest_file, error)
            return {}

    def _file(self, start: int, stop: int) -> Path:
        return self.folder / f"rows-{start:09d}-{stop:09d}.safetensors"

    def save(self, start: int, stop: int, states: Mapping[str, ArrayLike]) -> None:
        """Keep the states of rows ``start`` to ``stop``: by position, shape (rows, layers, width)."""
        shard = self._file(start, stop)
        with finished_file(shard) as file:
            save_file({position: np.ascontiguousarray(values) for position, values in states.items()}, file)
            # Listed before it has its name: killed in between, a shard is listed but missing, never there unlisted.
            self._manifest[shard.name] = {"rows": stop - start, "sha256": file_sha256(file)}
            with finished_file(self._manifest_file) as manifest:
                manifest.write_text(json.dumps(self._manifest, indent=1))

    def load(self, start: int, stop: int, positions: Sequence[str]) -> dict[str, np.ndarray] | None:
        """A finished shard as it was written; None when it has still to be made, or made again."""
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
        states = load_file(file)
        if set(states) != set(positions) or any(len(values) != listed["rows"] for values in states.values()):
            log.warning("%s does not hold rows %d to %d and will be made again", file, start, stop)
            return None
        return states

    def widths(self, shard: tuple[int, int], positions: Sequence[str]) -> dict[str, int]:
        """The width of each position's states, as they are in a finished shard."""
        return {position: values.shape[2] for position, values in self._finished(*shard, positions).items()}

    def _finished(self, start: int, stop: int, positions: Sequence[str]) -> dict[str, np.ndarray]:
        states = self.load(start, stop, positions)
        if states is None:
            raise InputError(
                f"{self._file(start, stop)}: the shard was lost or damaged while the others were made; run the "
                "same command again, and only it is made anew"
            )
        return states

    def assemble(
        self, shards: Sequence[tuple[int, int]], positions: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
        """First row and states of each of the finished shards, in order.

        Raises:
            InputError: on a shard that was lost or damaged since it was made.
        """
        for start, stop in shards:
            yield start, self._finished(start, stop, positions)

    def finish(self, description: dict[str, Any]) -> None:
        """Say that all shards are there, and what is to be known of the whole."""
        with finished_file(self._finished_file) as file:
            file.write_text(json.dumps(description))

    def finished(self) -> dict[str, Any] | None:
        """What :meth:`finish` was given; None as long as shards are missing."""
        try:
            return json.loads(self._finished_file.read_text())
        except FileNotFoundError:
            return None

    def remove(self) -> None:
        """Delete the folder: what it held is where it was wanted."""
        shutil.rmtree(self.folder)


@contextmanager
def work_folder(root: str | Path, fingerprint: str, wait: bool = True) -> Iterator[WorkFolder]:
    """The work folder of a cell, locked: of two jobs on one cell the second waits, then finds the first one's shards.

    Raises:
        Taken: where another job works on the cell and ``wait`` is False.
    """
    folder = folder_of(root, fingerprint)
    # The lock lies beside the folder, so that removing the folder does not remove a lock that someone waits for.
    with one_at_a_time(folder.with_suffix(".lock"), f"on this cell ({folder})", wait):
        folder.mkdir(parents=True, exist_ok=True)
        yield WorkFolder(folder)


def folder_of(root: str | Path, fingerprint: str) -> Path:
    """Where the work folder of a cell lies, or would lie."""
    return Path(root) / fingerprint[:32]
