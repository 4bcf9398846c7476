"""Write states files; :mod:`layerwise.states.store` describes and reads them.

Kept apart from the reader, so that a change to the reader makes no hidden states stale.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from layerwise.models.site_names import layers_at

ROWS_PER_CHUNK = 128


def to_bits(states: np.ndarray) -> np.ndarray:
    """float32 to its upper 16 bits, rounded to the nearest even: bfloat16 in a type that NumPy has."""
    bits = np.ascontiguousarray(states, dtype=np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


class _FileForHDF5(io.FileIO):
    """A file that hides failed writes from HDF5, which crashes the process when it closes a file that failed.

    Attributes:
        error: the first failure, after which nothing is written; None as long as all is well.
    """

    error: OSError | None = None

    def write(self, data) -> int:
        left = memoryview(data).cast("B")
        try:
            while len(left) and self.error is None:
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return len(data)


@contextmanager
def _new_hdf5(path: str | Path) -> Iterator[h5py.File]:
    # From HDF5 1.10 on, metadata have checksums too. Damaged metadata without them can crash the reader.
    with _FileForHDF5(path, "w+") as raw:
        with h5py.File(raw, "w", libver=("v110", "v110")) as file:
            yield file
        if raw.error:
            raise raw.error


@contextmanager
def new_states(
    path: str | Path,
    *,
    positions: Sequence[str],
    layers: Sequence[str],
    rows: int,
    width: int,
    dtype: str,
    item_ids: Sequence[str],
    row_of_item: Sequence[int],
    cell: dict[str, Any],
    sites: Mapping[str, int] | None = None,
    heads: int = 0,
    places: Sequence[int] | None = None,
) -> Iterator[dict[str, h5py.Dataset]]:
    """Open a new file and yield its datasets, to be filled by :func:`write_rows`.

    Args:
        path: the file.
        positions: token positions.
        layers: names of the layers.
        rows: distinct inputs.
        width: of a hidden state.
        dtype: on disk.
        item_ids: the items.
        row_of_item: the row of each.
        cell: what made the file.
        sites: by site within blocks (``last-SITE``), the width of a state there.
        heads: how many lie side by side in ``last-heads``.
        places: for a shard, the place of each item among those of all shards.

    Raises:
        OSError: at the end, when not everything could be written.
    """
    widths = dict.fromkeys(positions, width) | dict(sites or {})
    with _new_hdf5(path) as file:
        file.attrs["layers"] = _text(layers)
        if heads:
            file.attrs["heads"] = heads
        file.attrs["cell"] = np.bytes_(json.dumps(cell, sort_keys=True))
        which = {"item_id": _text(item_ids), "row": np.asarray(row_of_item, dtype=np.int64)}
        if places is not None:
            which["place"] = np.asarray(places, dtype=np.int64)
        for name, values in which.items():
            file.create_dataset(name, data=values, chunks=True, fletcher32=True)
        datasets = {}
        for position, width in widths.items():
            datasets[position] = file.create_dataset(
                position,
                shape=(len(layers_at(position, list(layers))), rows, width),
                dtype=np.uint16 if dtype == "bfloat16" else np.float32,
                chunks=(1, min(ROWS_PER_CHUNK, rows), width),
                compression=hdf5plugin.Bitshuffle(cname="lz4"),
                # A checksum per chunk: reading a flipped byte is an error, never a number.
                fletcher32=True,
            )
            datasets[position].attrs["dtype"] = np.bytes_(dtype)
        yield datasets


def _text(words: Sequence[str]) -> np.ndarray:
    """Fixed-length text. HDF5 keeps variable-length text in a heap without checksums."""
    encoded = [word.encode() for word in words]
    return np.asarray(encoded, dtype=h5py.string_dtype(length=max(1, *map(len, encoded))))


def write_rows(dataset: h5py.Dataset, start: int, states: np.ndarray) -> None:
    """Write float32 states of shape (rows, layers, width) from row ``start`` on."""
    block = np.ascontiguousarray(states.swapaxes(0, 1))
    dataset[:, start : start + states.shape[0]] = to_bits(block) if dataset.dtype == np.uint16 else block
