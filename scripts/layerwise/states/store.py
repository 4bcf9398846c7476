"""The hidden-states contract: one HDF5 file per model x stimuli x prompt.

A file has one dataset per token position, of shape (layers, rows, width) with layers = embeddings, every block,
final norm, chunked so that one layer reads contiguously. A row is one distinct model input; ``row`` maps each of
``item_id`` to its row, since items may share an input. Attributes: ``layers`` (names) and ``cell`` (JSON: model,
prompt, versions, and the digests of the stimuli and the model that the states were made from). bfloat16 is stored as
its 16 bits, and the attribute ``dtype`` of the dataset says so. Sites within blocks have their own datasets
(``last-attention``, ``last-mlp``, ``last-heads``), whose layers are the blocks. In ``last-heads`` the heads lie side by
side; the attribute ``heads`` is their number.

A file that is one of several shards (``shard`` in the cell: its number, from 1, and how many there are) also has a
dataset ``place``: where each of its items stands among all. :mod:`layerwise.states.shards` reads the set as one.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compression with h5py
import numpy as np

from layerwise.errors import InputError
from layerwise.models.site_names import AT_SITE, layers_at

# Rows read at once. A multiple of the rows in a chunk, so that no chunk is decompressed twice.
ROWS_PER_BLOCK = 512


def from_bits(bits: np.ndarray) -> np.ndarray:
    """bfloat16 bits to float32, exactly."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


class StatesFile:
    """Read a states file, one layer at a time.

    Attributes:
        layers: names of the layers.
        positions: token positions with states of whole layers.
        sites: sites within blocks, at the last token.
        n_heads: heads per block; 0 where no heads are kept.
        item_ids: the items, in the stimuli's order.
        row_of_item: shape (items,), the row of each item.
        cell: what made the file.
        shard: (i, n) for the i-th of n shards; (1, 1) for a whole cell.
        places: shape (items,), the place of each item in the stimuli's order.

    Raises:
        InputError: when the file is damaged, is no states file or differs in an entry of ``cell``.
    """

    def __init__(self, path: str | Path, cell: dict[str, Any] | None = None):
        self.path = Path(path)
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            raise InputError(f"{path}: damaged, or not a states file ({error}); delete it and run again") from error
        try:
            self._read(cell)
        except BaseException:
            # The caller gets no object that could close it.
            self._file.close()
            raise

    def _read(self, cell: dict[str, Any] | None) -> None:
        try:
            # Files from before there were checksums hold text, others its bytes.
            self.layers = [name.decode() if isinstance(name, bytes) else name for name in self._file.attrs["layers"]]
            self.n_heads = int(self._file.attrs.get("heads", 0))
            self.cell = json.loads(self._file.attrs["cell"])
            self.item_ids = self._file["item_id"].asstr()[:].tolist()
            self.row_of_item = self._file["row"][:]
            self.shard = tuple(self.cell.get("shard", (1, 1)))
            self.places = self._file["place"][:] if "shard" in self.cell else np.arange(len(self.item_ids))
            datasets = {name: self._file[name].shape for name in self._file if name not in ("item_id", "row", "place")}
        except (OSError, KeyError, ValueError, AttributeError) as error:
            raise InputError(
                f"{self.path}: damaged, or not a states file ({error}); delete it and run again"
            ) from error
        changed = [key for key, value in (cell or {}).items() if self.cell.get(key) != value]
        if changed:
            raise InputError(
                f"{self.path}: these states are of another cell ({', '.join(changed)} changed since); delete the file "
                "and run the same command again"
            )
        self.positions = [name for name in datasets if name not in AT_SITE]
        self.sites = [AT_SITE[name] for name in datasets if name in AT_SITE]
        for name, shape in datasets.items():
            self._check_shape(name, *shape)

    def layers_at(self, position: str) -> list[str]:
        """Names of the layers at a position. At a site (``last-SITE``) these are the blocks."""
        return layers_at(position, self.layers)

    def _check_shape(self, name: str, layers: int, rows: int, width: int) -> None:
        wanted = len(self.layers_at(name))
        if layers != wanted or rows <= self.row_of_item.max():
            raise InputError(
                f"{self.path}: {name} has {layers} layers and {rows} rows, but there are {wanted} layers and items in "
                f"row {self.row_of_item.max()}; delete the file and run again"
            )
        if AT_SITE.get(name) == "heads" and (self.n_heads == 0 or width % self.n_heads):
            raise InputError(
                f"{self.path}: {name} has a width of {width}, which {self.n_heads} heads do not share evenly; delete "
                "the file and run again"
            )

    def shape(self, position: str) -> tuple[int, int]:
        """Rows and width of each layer at one position.

        Raises:
            InputError: when the position was not kept.
        """
        return self._dataset(position).shape[1:]

    def layer(self, position: str, layer: int, out: np.ndarray | None = None) -> np.ndarray:
        """One layer at one position as float32, shape (rows, width).

        Args:
            position: token position, or ``last-SITE``.
            layer: its index in ``layers_at``.
            out: array to fill, of that shape and type. It is filled block by block, which needs little more memory.

        Raises:
            InputError: when the position was not kept, or the data are damaged.
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
            out[start : start + ROWS_PER_BLOCK] = from_bits(values) if dataset.dtype == np.uint16 else values
        return out

    def _dataset(self, position: str) -> h5py.Dataset:
        kept = [*self.positions, *(f"last-{site}" for site in self.sites)]
        if position not in kept:
            raise InputError(f"{self.path}: there is no position {position!r}; it has {', '.join(kept)}")
        return self._file[position]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "StatesFile":
        return self

    def __exit__(self, *_) -> None:
        self.close()
