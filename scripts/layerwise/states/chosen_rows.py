"""Read some rows of a layer, and no more of the file than the blocks that they lie in."""

import h5py
import numpy as np

from layerwise.errors import InputError
from layerwise.states.shards import ShardedStates, States
from layerwise.states.store import StatesFile, from_bits
from layerwise.states.writing import ROWS_PER_CHUNK


def read_rows(states: States, position: str, layer: int, rows: np.ndarray) -> np.ndarray:
    """Some rows of one layer at one position.

    Args:
        states: of a cell.
        position, layer: as in :meth:`layerwise.states.store.StatesFile.layer`.
        rows: shape (n,), rows of the cell, ascending, each once.

    Returns:
        float32, shape (n, width).

    Raises:
        InputError: when the position was not kept, or the data are damaged.
    """
    if isinstance(states, ShardedStates):
        files, starts = states._files, states._starts
    else:
        files, starts = [states], np.array([0, states.shape(position)[0]])
    bounds = np.searchsorted(rows, starts)
    parts = [
        _of_file(file, position, layer, rows[first:last] - start)
        for file, start, first, last in zip(files, starts[:-1], bounds[:-1], bounds[1:], strict=True)
    ]
    return np.concatenate(parts)


def _of_file(file: StatesFile, position: str, layer: int, rows: np.ndarray) -> np.ndarray:
    dataset: h5py.Dataset = file._dataset(position)
    out = np.empty((len(rows), dataset.shape[2]), np.float32)
    blocks = rows // ROWS_PER_CHUNK
    for block in np.unique(blocks):
        start, here = block * ROWS_PER_CHUNK, blocks == block
        try:
            values = dataset[layer, start : start + ROWS_PER_CHUNK][rows[here] - start]
        except OSError as error:
            raise InputError(
                f"{file.path}: layer {layer} is damaged ({error}); delete the file and run again"
            ) from error
        out[here] = from_bits(values) if dataset.dtype == np.uint16 else values
    return out
