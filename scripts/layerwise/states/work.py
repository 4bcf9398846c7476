"""Work in progress on one cell: finished shards that survive a killed job.

The folder is named after the cell's fingerprint, so that what a stopped job left is taken up by the same cell - same
model, stimuli, prompt, code - and by no other.
"""

import fcntl
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from layerwise.command import finished_file

log = logging.getLogger(__name__)


class WorkFolder:
    """Shards of consecutive rows, each written whole or not at all."""

    def __init__(self, folder: Path):
        self.folder = folder

    def _file(self, start: int, stop: int) -> Path:
        return self.folder / f"rows-{start:09d}-{stop:09d}.safetensors"

    def save(self, start: int, stop: int, states: dict[str, Tensor]) -> None:
        """Keep the states of rows ``start`` to ``stop``: by position, shape (rows, layers, width)."""
        with finished_file(self._file(start, stop)) as file:
            save_file({position: values.contiguous() for position, values in states.items()}, file)

    def load(self, start: int, stop: int, positions: Sequence[str]) -> dict[str, Tensor] | None:
        """A finished shard, or None when it has still to be made."""
        file = self._file(start, stop)
        if not file.exists():
            return None
        try:
            states = load_file(file)
        except SafetensorError as error:
            log.warning("%s is damaged (%s) and will be made again", file, error)
            return None
        if set(states) != set(positions) or any(len(values) != stop - start for values in states.values()):
            log.warning("%s does not hold rows %d to %d and will be made again", file, start, stop)
            return None
        return states


@contextmanager
def work_folder(root: str | Path, fingerprint: str) -> Iterator[WorkFolder]:
    """The work folder of a cell, locked: of two jobs on one cell the second waits, then finds the first one's shards.

    It is removed when the block ends without an error.
    """
    folder = Path(root) / fingerprint[:32]
    folder.mkdir(parents=True, exist_ok=True)
    # The lock lies beside the folder, so that removing the folder does not remove a lock that someone waits for.
    with open(folder.with_suffix(".lock"), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("another process works on this cell (%s); waiting for it", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        folder.mkdir(parents=True, exist_ok=True)
        yield WorkFolder(folder)
        shutil.rmtree(folder)


def check_finite(states: dict[str, Tensor], layers: Sequence[str], item_ids: Sequence[str]) -> None:
    """Stop at the first state that is not a finite number.

    Args:
        states: by position, shape (batch, layers, width).
        layers: names of the layers.
        item_ids: the batch's items.

    Raises:
        FloatingPointError: naming position, layer and item.
    """
    for position, values in states.items():
        bad = ~torch.isfinite(values).all(dim=2)
        if bad.any():
            row, layer = bad.nonzero()[0].tolist()
            raise FloatingPointError(
                f"NaN or infinity at {layers[layer]}, position {position}, item {item_ids[row]}; "
                "a model in float16 may overflow: try dtype bfloat16 or float32"
            )
