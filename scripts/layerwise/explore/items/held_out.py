"""Read what the probes of a cell say of the test items, a layer at a time: files of a large study fill no memory."""

from collections.abc import Iterator
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from layerwise.errors import InputError
from layerwise.probes.metrics.margins import predicted

KEYS = ["label", "item_id"]
# The column of what is read of an item: margins of classes, or an estimate of a number.
MARGINS, ESTIMATE = "scores", "estimate"


class TestItems(NamedTuple):
    """The test items of a task, one per label and item.

    Attributes:
        keys: label and item id.
        y: class index, or number.
    """

    keys: pd.MultiIndex
    y: np.ndarray


class Layer(NamedTuple):
    """What is read of some test items in one layer.

    Attributes:
        layer: its index.
        places: of the items among those that were asked for, shape (n,).
        towards: of classes the margin towards an item's own class, above 0 where the probe is right; of numbers the
            estimate. Shape (n,), float32.
        predicted: of classes the index of the predicted one, shape (n,); of numbers -1.
    """

    layer: int
    places: np.ndarray
    towards: np.ndarray
    predicted: np.ndarray


def own_margins(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Margins towards the own class of each item: of several classes its margin less the largest of the others.

    Args:
        scores: shape (n, 1) for two classes, positive for the second one, else (n, K).
        y: class indices, shape (n,).
    """
    if scores.shape[1] == 1:
        return np.where(y == 1, scores[:, 0], -scores[:, 0])
    rows = np.arange(len(y))
    others = scores.copy()
    others[rows, y] = -np.inf
    return scores[rows, y] - others.max(axis=1)


def tested(path: Path, column: str) -> TestItems:
    """The test items of a cell, in the order of its file.

    Args:
        path: of predictions or estimates.
        column: of what is read of an item.

    Raises:
        InputError: the file is missing or damaged, has no test items, or has one twice.
    """
    parts = ((layer, _keys(rows), rows["y"].to_numpy()) for layer, rows in _parts(path, column))
    first = [part for _, of_layer in islice(groupby(parts, key=itemgetter(0)), 1) for part in of_layer]
    if not first:
        raise InputError(f"{path}: has no test items; delete it and run again")
    keys = pd.MultiIndex.from_tuples([key for _, found, _ in first for key in found], names=KEYS)
    if (twice := keys.duplicated()).any():
        label, item = keys[twice][0]
        raise InputError(f"{path}: has item {item!r} twice for the label {label!r}; delete it and run again")
    return TestItems(keys, np.concatenate([y for _, _, y in first]))


def layers(path: Path, column: str, items: TestItems) -> Iterator[Layer]:
    """What is read of test items in each layer, the lowest first. A layer of very many items comes in parts.

    Args:
        path: of predictions or estimates.
        column: of what is read of an item.
        items: that are asked for; others are passed over.

    Raises:
        InputError: the file is missing or damaged.
    """
    known: tuple[pa.ChunkedArray, ...] = ()
    places = np.empty(0, np.int64)
    for layer, rows in _parts(path, column):
        # Most files have the same rows in every layer.
        columns = tuple(rows[name] for name in KEYS)
        if not known or not all(new.equals(old) for new, old in zip(columns, known, strict=True)):
            known, places = columns, items.keys.get_indexer(_keys(rows))
        asked = places >= 0
        y = items.y[places[asked]]
        found = _values(rows[column].combine_chunks(), path)[asked]
        if column == ESTIMATE:
            yield Layer(layer, places[asked], found[:, 0], np.full(len(y), -1))
        else:
            yield Layer(layer, places[asked], own_margins(found, y), predicted(found))


def wrong_by(path: Path, column: str, items: TestItems) -> np.ndarray:
    """How far a cell's probes are on the wrong side, at most over layers; shape (n,).

    Of classes this is the margin of another class over the item's own, of numbers the absolute error. It is 0 of an
    item that is read rightly in every layer.

    Raises:
        InputError: the file is missing or damaged.
    """
    worst = np.zeros(len(items.y))
    for found in layers(path, column, items):
        by = np.abs(found.towards - items.y[found.places]) if column == ESTIMATE else -found.towards
        worst[found.places] = np.maximum(worst[found.places], by)
    return worst


def by_layer(path: Path, column: str, items: TestItems) -> tuple[np.ndarray, np.ndarray]:
    """Of each item in each layer what is read towards its own class, and the predicted class; see :class:`Layer`.

    Returns:
        Two arrays of shape (n, layers).

    Raises:
        InputError: the file is missing or damaged, or lacks an item in a layer.
    """
    towards: dict[int, np.ndarray] = {}
    classes: dict[int, np.ndarray] = {}
    for found in layers(path, column, items):
        towards.setdefault(found.layer, np.full(len(items.y), np.nan, np.float32))[found.places] = found.towards
        classes.setdefault(found.layer, np.full(len(items.y), -1, np.int16))[found.places] = found.predicted
    if sorted(towards) != list(range(len(towards))):
        raise InputError(f"{path}: has not all layers from 0 on; delete it and run again")
    values = np.stack([towards[layer] for layer in sorted(towards)], axis=1)
    if (lacking := np.isnan(values).any(axis=1)).any():
        label, item = items.keys[lacking][0]
        raise InputError(f"{path}: has no margin of item {item!r} ({label}) in some layer; delete it and run again")
    return values, np.stack([classes[layer] for layer in sorted(classes)], axis=1)


def _parts(path: Path, column: str) -> Iterator[tuple[int, pa.Table]]:
    """The test rows by layer. Probes are written a layer at a time, so a row group is hardly more than a layer."""
    columns = ["layer", *KEYS, "split", "y", column]
    try:
        with pq.ParquetFile(path, read_dictionary=["label", "item_id", "split"]) as file:
            if missing := [name for name in columns if name not in file.schema_arrow.names]:
                raise InputError(f"{path}: lacks the columns {', '.join(missing)}; delete it and run again")
            for group in range(file.num_row_groups):
                rows = file.read_row_group(group, columns=columns)
                rows = rows.filter(pc.equal(rows["split"].cast(pa.string()), "test"))
                for layer in sorted(pc.unique(rows["layer"]).to_pylist()):
                    yield layer, rows.filter(pc.equal(rows["layer"], layer))
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it and run again") from error


def _keys(rows: pa.Table) -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([rows[name].cast(pa.string()).to_pandas() for name in KEYS], names=KEYS)


def _values(column: pa.Array, path: Path) -> np.ndarray:
    """Numbers, or lists of the same length, as an array of shape (n, K)."""
    if pa.types.is_floating(column.type):
        return column.to_numpy(zero_copy_only=False).astype(np.float32)[:, None]
    flat = column.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    if len(column) and len(flat) % len(column):
        raise InputError(f"{path}: its items have different numbers of margins; delete it and run again")
    return flat.reshape(len(column), -1)
