"""A buffer for one layer's states, in memory or, where that is too small, on disk."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from layerwise.errors import InputError


@contextmanager
def layer_buffer(shape: tuple[int, int], budget_bytes: int, folder: str | Path) -> Iterator[np.ndarray]:
    """A float32 array of ``shape`` (rows, width), to be filled with one layer after the other.

    Above the budget it is a memory-mapped file. The file has no name, so that a killed job leaves nothing behind.

    Args:
        shape: rows and width.
        budget_bytes: the most that may be held in memory.
        folder: where to put the file.

    Raises:
        InputError: when the disk has no room for it.
    """
    needed = 4 * shape[0] * shape[1]
    if needed <= budget_bytes:
        yield np.empty(shape, np.float32)
        return
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            # Take the disk space now: running out of it later would kill the process without a message.
            os.posix_fallocate(file.fileno(), 0, needed)
        except OSError as error:
            raise InputError(
                f"{folder}: no room for a layer of {needed / 1e9:.1f} GB ({error.strerror}); free disk space, or give "
                "the job more memory (mem_mb)"
            ) from error
        yield np.memmap(file, np.float32, "r+", shape=shape)
