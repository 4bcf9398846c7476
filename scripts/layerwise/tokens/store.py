"""The contract of kept image tokens: an HDF5 file per model and stimulus set.

It is a states file (:mod:`layerwise.states.store`) whose one position is ``tokens``, with more datasets beside it. Of P
pictures with at most T image tokens, N items, and Ls layers of width D:

- ``tokens``: shape (Ls, P * T, D); the row of a picture's token is picture * T + token; zeros where a picture has fewer
  tokens than T
- ``item_id`` and ``row``: all items of the stimulus set that show one of the pictures, and which, shape (N,)
- ``counts``: how many tokens each picture has, shape (P,)
- ``image_id``, ``image`` (its path): of each picture, shape (P,)
- ``places``: what each token shows: left, top, right, bottom as shares of the picture, shape (P, T, 4), float32; NaN
  for tokens that show no known place, or that the picture does not have
- ``boxes``: of objects in these pictures, left, top, right, bottom as shares, shape (B, 4), with ``box_picture`` and
  ``box_word``, shape (B,); none where nothing is annotated

Attributes: ``layers`` (names of those that are kept), and ``cell``, JSON of what the tokens are made from,
``layer_numbers`` (of those that are kept, where 0 is the embeddings), ``layer_names`` and ``n_layers`` (blocks of the
decoder). :mod:`layerwise.tokens.writing` writes it. No torch.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers the compression with h5py
import numpy as np

from layerwise.errors import InputError
from layerwise.states.store import from_bits
from layerwise.tokens.writing import POSITION

# Bytes of float32 that are read at a time.
AT_ONCE = 2**28


@dataclass(frozen=True)
class Tokens:
    """An open file of image tokens of P pictures, with at most T tokens each."""

    path: Path
    file: h5py.File
    cell: dict[str, Any]

    @property
    def layers(self) -> list[int]:
        """Numbers of the layers that are kept: 0 is the embeddings, L + 1 the final norm."""
        return list(self.cell["layer_numbers"])

    @property
    def layer_names(self) -> list[str]:
        """Their names."""
        return list(self.cell["layer_names"])

    @property
    def n_layers(self) -> int:
        """Blocks of the decoder, L."""
        return int(self.cell["n_layers"])

    @property
    def width(self) -> int:
        """Numbers of a hidden state, D."""
        return int(self.file[POSITION].shape[2])

    @cached_property
    def item_ids(self) -> list[str]:
        """All items that show one of the pictures, in the stimuli's order."""
        return self._texts("item_id")

    @cached_property
    def row_of_item(self) -> np.ndarray:
        """The picture that each of them shows, shape (items,)."""
        return self.file["row"][:]

    @cached_property
    def counts(self) -> np.ndarray:
        """How many tokens each picture has, shape (P,)."""
        return self.file["counts"][:]

    @cached_property
    def places(self) -> np.ndarray:
        """What each token shows, as shares of the picture, shape (P, T, 4); NaN where it is not known."""
        return self.file["places"][:]

    @cached_property
    def image_id(self) -> list[str]:
        return self._texts("image_id")

    @cached_property
    def image(self) -> list[str]:
        """The paths of the pictures."""
        return self._texts("image")

    def boxes(self, picture: int, word: str) -> np.ndarray:
        """The boxes of one kind of object in a picture, shape (boxes, 4)."""
        return self._boxes[(self._box_picture == picture) & (self._box_word == word)]

    @property
    def words(self) -> list[str]:
        """The kinds of objects that have boxes, sorted."""
        return sorted(set(self._box_word))

    def layer(self, place: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """The tokens of one layer.

        Args:
            place: of the layer in :attr:`layers`.
            start: the first picture.
            stop: the picture after the last one. Default: all.

        Returns:
            Shape (pictures, T, D), float32; zeros behind a picture's own tokens.

        Raises:
            InputError: when the data are damaged.
        """
        most = self.places.shape[1]
        stop = len(self.counts) if stop is None else stop
        dataset = self.file[POSITION]
        out = np.empty(((stop - start) * most, self.width), np.float32)
        rows = max(1, AT_ONCE // (4 * self.width))
        for first in range(0, len(out), rows):
            last = min(first + rows, len(out))
            try:
                values = dataset[place, start * most + first : start * most + last]
            except OSError as error:
                raise InputError(
                    f"{self.path}: {self.layer_names[place]} is damaged ({error}); delete the file and run again"
                ) from error
            out[first:last] = from_bits(values) if dataset.dtype == np.uint16 else values
        return out.reshape(stop - start, most, self.width)

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
        return self.file[name].asstr()[:].tolist()


@contextmanager
def open_tokens(path: str | Path, content: Mapping[str, Any] | None = None) -> Iterator[Tokens]:
    """Open a file of image tokens.

    Args:
        path: the file.
        content: what it must be made from, see :func:`layerwise.states.cells.planned_content`.

    Raises:
        InputError: when it is missing, damaged, another kind of file, or made from something else.
    """
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: missing or damaged ({error}); delete it and run again") from error
    with file:
        try:
            cell = json.loads(file.attrs["cell"])
            rows, most = file[POSITION].shape[1], file["places"].shape[1]
            whole = rows == most * len(file["counts"]) and len(cell["layer_numbers"]) == len(file[POSITION])
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path}: holds no image tokens ({error}); delete it and run again") from error
        if not whole:
            raise InputError(f"{path}: its tokens are not those of its pictures and layers; delete it and run again")
        changed = [key for key, value in (content or {}).items() if cell.get(key) != value]
        if changed:
            raise InputError(
                f"{path}: these tokens are of another cell ({', '.join(changed)} changed since); delete the file and "
                "run the same command again"
            )
        yield Tokens(Path(path), file, cell)
