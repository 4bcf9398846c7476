"""What changes of the last token's state do to a model's answers, and to what probes find above: two tables of a cell.

``{prompt}.parquet`` has a row per item and run:

- ``item_id``; ``image``, the SHA-256 of the item's picture (of several, the same for all items that share one); ``y``,
  the index of its class
- ``block``: behind which the state was changed, from 1; 0 for the free run
- ``change``: ``free``, ``erase`` or ``steer``
- ``strength``: of steering, in standard deviations; 0 for other changes
- ``source``: ``own`` - the cell's concept (and the free run), ``control`` - a random one, ``other`` - another task's
- ``of``: the concept's ``task/prompt``; empty for controls and the free run
- ``draw``: which control; -1 for others
- ``pseudo``: the class that a control of erasing gives the item (:mod:`layerwise.used.pseudo`); -1 for others
- ``scores``: for each class the log probability of its answers, among the answers of all classes; shape (K,), float32
- ``mass``: the probability of all answers together, float32

``{prompt}.above.parquet`` says what the cell's kept probes find above an erased block, and in the free run:
``item_id``, ``image``, ``y``, ``block`` (0 for the free run), ``above`` (the block whose output is read), ``source``,
``draw``, and ``margins``: shape (M,), float32; M is 1 for two classes, else K.

The metadata of both name the classes, the tokens that count for each, what the cell was made from, and how many blocks
and controls there are.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from layerwise.errors import InputError

KEY = b"layerwise.used"
SWEEP_COLUMNS = [
    *("item_id", "image", "y", "block", "change", "strength", "source", "of", "draw"),
    *("pseudo", "scores", "mass"),
]
ABOVE_COLUMNS = ["item_id", "image", "y", "block", "above", "source", "draw", "margins"]
# Columns of few values, which the files hold once each.
NAMES = ("item_id", "image", "change", "source", "of")
TYPES = {
    "y": np.int16,
    "block": np.int16,
    "above": np.int16,
    "draw": np.int16,
    "pseudo": np.int16,
    "strength": np.float32,
    "mass": np.float32,
}


@dataclass(frozen=True)
class Told:
    """What both tables say of their cell.

    Attributes:
        classes: of the task, in the order of ``y`` and of the scores.
        tokens: for each class the tokens that count, each with ``id`` and ``text``.
        cell: what decides the numbers.
        blocks: of the model, L.
        along: kind of direction that was steered along.
        strengths: of steering; empty where nothing was steered.
        draws: controls of each change.
    """

    classes: list[str]
    tokens: dict[str, list[dict[str, Any]]]
    cell: dict[str, Any]
    blocks: int
    along: str
    strengths: list[float]
    draws: int


@dataclass(frozen=True)
class Sweep:
    """The table of changed runs.

    Attributes:
        told: what it says of its cell.
        table: its rows without the scores; names are categories.
        scores: shape (rows, K), float32.
    """

    told: Told
    table: pd.DataFrame
    scores: np.ndarray = field(repr=False)

    @cached_property
    def gold_margins(self) -> np.ndarray:
        """Score of the item's own class less the logarithm of the others' probability, shape (rows,), float64."""
        return gold_margins(self.scores, self.table["y"].to_numpy())


@dataclass(frozen=True)
class Above:
    """The table of what probes find above.

    Attributes:
        told: what it says of its cell.
        table: its rows without the margins; names are categories.
        margins: shape (rows, M), float32.
    """

    told: Told
    table: pd.DataFrame
    margins: np.ndarray = field(repr=False)


def gold_margins(scores: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How much more probable an item's own class is than all others together, as a logarithm.

    Args:
        scores: log probabilities of the classes' answers, shape (rows, K).
        y: index of each row's class.

    Returns:
        Shape (rows,), float64.
    """
    scores = scores.astype(np.float64)
    of_gold = np.arange(scores.shape[1]) == np.asarray(y)[:, None]
    gold, rest = scores[of_gold], np.where(of_gold, -np.inf, scores)
    return gold - np.logaddexp.reduce(rest, axis=1)


def write_sweep(path: str | Path, sweep: Sweep) -> None:
    """Write the table of changed runs."""
    _write(path, sweep.told, sweep.table, SWEEP_COLUMNS, "scores", sweep.scores)


def write_above(path: str | Path, above: Above) -> None:
    """Write the table of what probes find above."""
    _write(path, above.told, above.table, ABOVE_COLUMNS, "margins", above.margins)


def read_sweep(path: str | Path) -> Sweep:
    """Read the table of changed runs.

    Raises:
        InputError: when the file is missing, damaged, or no such table; or a row's block or class does not exist.
    """
    told, table, scores = _read(path, SWEEP_COLUMNS, "scores")
    if scores.shape[1] != len(told.classes):
        raise InputError(f"{path}: has scores of {scores.shape[1]} classes, but names {len(told.classes)}")
    _check(path, table, "block", 0, told.blocks)
    _check(path, table, "y", 0, len(told.classes) - 1)
    drawn = (table["change"] == "erase") & (table["source"] == "control")
    _check(path, table[drawn], "pseudo", 0, len(told.classes) - 1)
    _check(path, table[~drawn], "pseudo", -1, -1)
    # Rounding may take a sum over several tokens a little beyond 1.
    _check(path, table, "mass", 0, 1 + 1e-4)
    return Sweep(told, table, scores)


def read_above(path: str | Path) -> Above:
    """Read the table of what probes find above.

    Raises:
        InputError: as :func:`read_sweep`.
    """
    told, table, margins = _read(path, ABOVE_COLUMNS, "margins")
    _check(path, table, "block", 0, told.blocks)
    _check(path, table, "above", 1, told.blocks)
    _check(path, table, "y", 0, len(told.classes) - 1)
    return Above(told, table, margins)


def holds(path: str | Path, cell: Mapping[str, Any]) -> bool:
    """Whether a file is a finished table of this cell."""
    try:
        told = json.loads(pq.read_schema(path).metadata[KEY])
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return False
    return all(told["cell"].get(key) == value for key, value in cell.items())


def _write(
    path: str | Path, told: Told, table: pd.DataFrame, columns: Sequence[str], listed: str, values: np.ndarray
) -> None:
    arrays: dict[str, pa.Array] = {}
    for name in columns:
        if name == listed:
            flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
            arrays[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        elif name in NAMES:
            arrays[name] = pa.array(table[name].astype("category"))
        else:
            arrays[name] = pa.array(table[name].to_numpy(TYPES[name]))
    metadata = {KEY: json.dumps(asdict(told), sort_keys=True)}
    pq.write_table(pa.table(arrays).replace_schema_metadata(metadata), path, compression="zstd")


def _read(path: str | Path, columns: Sequence[str], listed: str) -> tuple[Told, pd.DataFrame, np.ndarray]:
    try:
        table = pq.read_table(path)
        told = Told(**json.loads(table.schema.metadata[KEY]))
        if missing := [name for name in columns if name not in table.column_names]:
            raise KeyError(f"no column {missing[0]}")
        values = table.column(listed).combine_chunks()
        size = values.type.list_size
        numbers = values.flatten().to_numpy(zero_copy_only=False).reshape(-1, size)
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: cannot be read as a table of changed runs ({error}); delete it and run again"
        ) from error
    return told, table.drop_columns([listed]).to_pandas(), numbers


def _check(path: str | Path, table: pd.DataFrame, column: str, low: float, high: float) -> None:
    bad = ~table[column].between(low, high)
    if bad.any():
        row = bad.idxmax()
        raise InputError(
            f"{path}: row {row} has {column} = {table.at[row, column]}, which is not from {low:g} to {high:g}; delete "
            "the file and run again"
        )
