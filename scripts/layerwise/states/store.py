"""The hidden-states contract: one HDF5 file per model x stimuli x prompt.

A file has one dataset per token position, of shape (layers, rows, width) with layers = embeddings, every block,
final norm, chunked so that one layer reads contiguously. A row is one distinct model input; ``row`` maps each of
``item_id`` to its row, since items may share an input. Attributes: ``layers`` (names) and ``cell`` (JSON: model,
prompt, versions, and the digests of the stimuli and the model that the states were made from). bfloat16 is stored as
its 16 bits, with the attribute ``dtype`` of the dataset.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compression with h5py
import numpy as np

from layerwise.errors import InputError

# Rows that are read at once: a multiple of the rows in a chunk, so that none is decompressed twice.
ROWS_PER_BLOCK = 512


def from_bits(bits: np.ndarray) -> np.ndarray:
    """bfloat16 bits to float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


class StatesFile:
    """Read a states file, one layer at a time.

    Attributes:
        layers: names of the layers.
        item_ids: the items, in the stimuli's order.
        row_of_item: shape (items,), the row of each item.
        cell: what made the file.

    Raises:
        InputError: when the file is damaged, no states file, or differs in some entry of ``cell``.
    """

    def __init__(self, path: str | Path, cell: dict[str, Any] | None = None):
        self.path = Path(path)
        try:
            self._file = h5py.File(path, "r")
            self.layers = list(self._file.attrs["layers"])

            self.cell = json.loads(self._file.attrs["cell"])
            self.item_ids = list(self._file["item_id"].asstr())
            self.row_of_item = self._file["row"][:]
        except (OSError, KeyError) as error:
            raise InputError(f"{path}: damaged, or not a states file ({error}); delete it and run again") from error
        changed = [key for key, value in (cell or {}).items() if self.cell.get(key) != value]
        if changed:
            raise InputError(
                f"{path}: these states are of another cell ({', '.join(changed)} changed since); run the same command "
                "again, and they are made anew"
            )
        self.positions = [name for name in self._file if name not in ("item_id", "row")]

    def shape(self, position: str) -> tuple[int, int]:
        """Rows and width of each layer at one position.

        Raises:
            InputError: when the position was not kept.
        """
        return self._dataset(position).shape[1:]

    def layer(self, position: str, layer: int, out: np.ndarray | None = None) -> np.ndarray:
        """One layer at one position as float32, shape (rows, width).

        Args:
            position: token position.
            layer: its index in ``layers``.
            out: where to put it, of that shape and type. It is filled block by block, so that little beside it is held.

        Raises:
            InputError: when the position was not kept, or the data cannot be read back.
        """
        dataset = self._dataset(position)
        out = np.empty(dataset.shape[1:], np.float32) if out is None else out
        for start in range(0, len(out), ROWS_PER_BLOCK):
            try:
                values = dataset[layer, start : start + ROWS_PER_BLOCK]
            except OSError as error:
                raise InputError(
                    f"{self.path}: layer {layer} is damaged ({error}); delete the file and run again"
                ) from error
            out[start : start + ROWS_PER_BLOCK] = from_bits(values) if dataset.attrs["dtype"] == "bfloat16" else values
        return out

    def _dataset(self, position: str) -> h5py.Dataset:
        if position not in self.positions:
            raise InputError(f"{self.path}: there is no position {position!r}; it has {', '.join(self.positions)}")
        return self._file[position]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "StatesFile":
        return self

    def __exit__(self, *_) -> None:
        self.close()
