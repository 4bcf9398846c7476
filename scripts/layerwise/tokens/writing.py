"""Write files of image tokens; :mod:`layerwise.tokens.store` describes and reads them.

Kept apart from the reader, so that a change to the reader makes no tokens stale.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from layerwise.datasets.boxes import BOX
from layerwise.states.writing import new_states
from layerwise.tokens.sampling import Drawn

POSITION = "tokens"
# Bytes that are written at a time.
AT_ONCE = 2**28


def write_tokens(
    path: Path,
    drawn: Drawn,
    parts: Iterable[tuple[int, Mapping[str, np.ndarray]]],
    *,
    most: int,
    width: int,
    layers: Mapping[int, str],
    n_layers: int,
    dtype: str,
    cell: Mapping[str, Any],
) -> None:
    """Write a file of image tokens.

    Args:
        path: the file.
        drawn: pictures and items.
        parts: first picture, and ``tokens``, ``places`` and ``counts`` of each, as
            :mod:`layerwise.tokens.reading` keeps them.
        most: tokens of the picture with most of them.
        width: of a hidden state.
        layers: the names of those that are kept, by number.
        n_layers: blocks of the decoder.
        dtype: of ``tokens`` on disk.
        cell: what the tokens are made from.

    Raises:
        OSError: at the end, when not everything could be written.
    """
    pictures = len(drawn.inputs)
    counts, places = np.zeros(pictures, np.int64), np.full((pictures, most, 4), np.nan, np.float32)
    with new_states(
        path,
        positions=[POSITION],
        layers=list(layers.values()),
        rows=pictures * most,
        width=width,
        dtype=dtype,
        item_ids=drawn.item_ids,
        row_of_item=drawn.row_of_item.tolist(),
        cell=dict(cell) | {"layer_numbers": list(layers), "layer_names": list(layers.values()), "n_layers": n_layers},
    ) as datasets:
        tokens = datasets[POSITION]
        for start, values in parts:
            own = values["counts"]
            counts[start : start + len(own)] = own
            places[start : start + len(own), : values["places"].shape[1]] = values["places"]
            _write_pictures(tokens, start * most, values["tokens"], most)
        arrays = {
            "counts": counts,
            "places": places,
            "image_id": _text(drawn.image_id),
            "image": _text(drawn.inputs["image"]),
            "boxes": drawn.boxes[BOX].to_numpy(np.float32),
            "box_picture": drawn.boxes["picture"].to_numpy(np.int64),
            "box_word": _text(drawn.boxes["category"]),
        }
        for name, array in arrays.items():
            # A checksum needs chunks, and nothing has none.
            checked = {"chunks": True, "fletcher32": True} if array.size else {}
            tokens.file.create_dataset(name, data=array, **checked)


def _text(words: Iterable[str]) -> np.ndarray:
    """Fixed-length text: of text of variable length HDF5 keeps no checksum."""
    encoded = [word.encode() for word in words]
    return np.asarray(encoded, dtype=h5py.string_dtype(length=max([1, *map(len, encoded)])))


def _write_pictures(dataset: h5py.Dataset, row: int, tokens: np.ndarray, most: int) -> None:
    """Write tokens of shape (pictures, tokens, layers, width), of the file's type, each picture's from a row of its
    own on."""
    at_once = max(1, AT_ONCE // (tokens.itemsize * most * int(np.prod(tokens.shape[2:]))))
    for start in range(0, len(tokens), at_once):
        some = tokens[start : start + at_once]
        wide = np.zeros((len(some), most, *some.shape[2:]), some.dtype)
        wide[:, : some.shape[1]] = some
        first = row + start * most
        block = wide.reshape(-1, *wide.shape[2:]).swapaxes(0, 1)
        dataset[:, first : first + len(some) * most] = np.ascontiguousarray(block)
