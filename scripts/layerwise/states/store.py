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

    def layer(self, position: str, layer: int) -> np.ndarray:
        """One layer at one position as float32, shape (rows, width).

        Raises:
            InputError: when the position was not kept, or the data cannot be read back.
        """
        if position not in self.positions:
            raise InputError(f"{self.path}: there is no position {position!r}; it has {', '.join(self.positions)}")
        dataset = self._file[position]
        try:
            values = dataset[layer]
        except OSError as error:
            raise InputError(
                f"{self.path}: layer {layer} is damaged ({error}); delete the file and run again"
            ) from error
        return from_bits(values) if dataset.attrs["dtype"] == "bfloat16" else values

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "StatesFile":
        return self

    def __exit__(self, *_) -> None:
        self.close()
