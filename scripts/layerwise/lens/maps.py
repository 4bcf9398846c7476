"""The contract of the patch lens' maps: an HDF5 file per model and stimulus set.

Datasets, of P pictures with at most T image tokens, and N pairs of a picture and a word:

- ``image_id``, ``image``: of each picture, shape (P,), texts
- ``places``: what each image token shows: left, top, right, bottom as shares of the picture, shape (P, T, 4), float32;
  NaN for tokens that show no place, or that the picture does not have
- ``picture``: of each pair, a row of the above, shape (N,)
- ``word``: of each pair, text, shape (N,)
- ``present``: whether such an object is in the picture, shape (N,)
- ``maps``: of each pair the logarithm of the word's probability, by layer and image token, shape (N, L + 2, T),
  float32, NaN beyond the picture's tokens
- ``boxes``: of objects in these pictures, left, top, right, bottom as shares, shape (B, 4), with ``box_picture`` and
  ``box_word``, shape (B,)

The attribute ``cell`` is JSON: what the maps are made from, ``layers`` (names), ``tokens`` (by word), and ``none``, why
there are no maps, for models whose image tokens show no known place.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from layerwise.errors import InputError

TEXTS = h5py.string_dtype()


def write_maps(path: Path, cell: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file of maps; ``arrays`` by the names of the datasets, without any where there are no maps."""
    with h5py.File(path, "w") as file:
        file.attrs["cell"] = json.dumps(cell)
        for name, values in arrays.items():
            if values.dtype == object:
                file.create_dataset(name, data=values, dtype=TEXTS)
            elif name == "maps" and values.size:
                # A pair is read at a time.
                pair = (1, *values.shape[1:])
                file.create_dataset(
                    name, data=values, chunks=pair, compression="gzip", compression_opts=1, shuffle=True
                )
            else:
                file.create_dataset(name, data=values)


@dataclass(frozen=True)
class Maps:
    """An open file of maps; attributes are those of the file."""

    path: Path
    file: h5py.File
    cell: dict[str, Any]

    @property
    def none(self) -> str:
        """Why there are no maps; empty where there are."""
        return self.cell.get("none", "")

    @property
    def layers(self) -> list[str]:
        """Names of all L + 2 layers."""
        return list(self.cell["layers"])

    @cached_property
    def image_id(self) -> list[str]:
        return self._texts("image_id")

    @cached_property
    def image(self) -> list[str]:
        return self._texts("image")

    @cached_property
    def word(self) -> list[str]:
        return self._texts("word")

    @cached_property
    def picture(self) -> np.ndarray:
        return self.file["picture"][:]

    @cached_property
    def present(self) -> np.ndarray:
        return self.file["present"][:]

    @cached_property
    def places(self) -> np.ndarray:
        return self.file["places"][:]

    def boxes(self, picture: int, word: str) -> np.ndarray:
        """The boxes of one kind of object in a picture, shape (boxes, 4)."""
        return self._boxes[(self._box_picture == picture) & (self._box_word == word)]

    def map(self, pair: int) -> np.ndarray:
        """Shape (L + 2, T)."""
        return self.file["maps"][pair]

    @cached_property
    def _boxes(self) -> np.ndarray:
        return self.file["boxes"][:]

    @cached_property
    def _box_picture(self) -> np.ndarray:
        return self.file["box_picture"][:]

    @cached_property
    def _box_word(self) -> np.ndarray:
        return np.asarray(self._texts("box_word"), dtype=object)

    def _texts(self, name: str) -> list[str]:
        return list(self.file[name].asstr()[:])


@contextmanager
def open_maps(path: str | Path) -> Iterator[Maps]:
    """Open a file of maps.

    Raises:
        InputError: when it is missing, damaged or another kind of file.
    """
    try:
        file = h5py.File(path, "r")
        cell = json.loads(file.attrs["cell"])
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read as maps of the patch lens ({error}); delete it and run again"
        ) from error
    with file:
        if "none" not in cell and "maps" not in file:
            raise InputError(f"{path}: holds no maps of the patch lens; delete it and run again")
        yield Maps(Path(path), file, cell)
